//! What a query for summaries reads, however long those are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use postrider_kv::memory::{Engine, Snapshot};
use postrider_kv::{Buffered, Pair};
use postrider_types::{Address, Clock, CommandId, DomainName, Flags};

use super::*;
use crate::command as c;
use crate::testing::{CountingRandom, ManualClock};
use crate::{Command, Content, Context, Encoding, NewBody, Outcome, QuotaLimit, evaluate};

/// Counts the bytes that were read.
struct Counting {
    inner: Snapshot,
    bytes: AtomicUsize,
}

impl Read for Counting {
    async fn get(&self, key: &[u8]) -> kv::Result<Option<Bytes>> {
        let value = self.inner.get(key).await?;
        let bytes = value.as_ref().map_or(0, Bytes::len);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        Ok(value)
    }

    async fn get_many(&self, keys: &[Vec<u8>]) -> kv::Result<Vec<Option<Bytes>>> {
        let values = self.inner.get_many(keys).await?;
        let bytes = values.iter().flatten().map(Bytes::len).sum();
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        Ok(values)
    }

    async fn range(&self, range: Range) -> kv::Result<Vec<Pair>> {
        let pairs = self.inner.range(range).await?;
        let bytes = pairs.iter().map(|(_, value)| value.len()).sum();
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        Ok(pairs)
    }
}

/// An engine and what commands on it need.
struct Store {
    engine: Engine,
    clock: Arc<ManualClock>,
    random: CountingRandom,
}

impl Store {
    async fn run(&self, command: impl Into<Command>) -> Outcome {
        let mut txn = Buffered::new(self.engine.snapshot());
        let now = self.clock.now();
        let id = CommandId::new(now, &self.random);
        let cx = Context {
            now,
            latest: now,
            id,
            version: Default::default(),
        };
        let evaluated = evaluate(&mut txn, &cx, command.into()).await;
        let outcome = evaluated.unwrap().verdict.unwrap().unwrap();
        self.engine.apply(txn.into_ops().await.unwrap());
        outcome
    }

    /// Delivers a message with this summary.
    async fn accept(&self, account: AccountId, summary: Bytes) -> MailboxId {
        let now = self.clock.now();
        let body = NewBody {
            id: BodyId::new(now, &self.random),
            size: 4,
            checksum: [7; 32],
            encoding: Encoding::Identity,
            content: Content::Inline(Bytes::from_static(b"body")),
            summary,
            inline_budget: u64::MAX,
        };
        let delivery = c::Delivery {
            account,
            mailbox: "INBOX".into(),
            prefix: Bytes::new(),
            flags: Flags::new(),
            overdraft: false,
        };
        let accept = c::Accept {
            body,
            deliveries: vec![delivery],
            received: now,
            queued: None,
            origin: None,
            notices: Vec::new(),
        };
        match self.run(accept).await {
            Outcome::Accept(accepted) => accepted.deliveries[0].as_ref().unwrap().mailbox,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_page_reads_little_more_than_it_tells() {
    const LONGEST: usize = 400 << 10;
    let store = Store {
        engine: Engine::new(),
        clock: ManualClock::new(),
        random: CountingRandom::default(),
    };
    let domain = c::AddDomain {
        name: DomainName::parse("example.test").unwrap(),
        internal: false,
        catch_all: None,
        relay: None,
    };
    store.run(domain).await;
    let add = c::AddAccount {
        address: Address::parse("ann@example.test").unwrap(),
        verifier: "$argon2id$".into(),
        quota: QuotaLimit::default(),
        expires: None,
    };
    let Outcome::AddAccount(account) = store.run(add).await else {
        panic!("another outcome");
    };
    let mut mailbox = MailboxId(0);
    for n in 0..100 {
        mailbox = store.accept(account, vec![n; LONGEST].into()).await;
    }
    let mut told = Vec::new();
    let mut from = 1;
    loop {
        let counting = Counting {
            inner: store.engine.snapshot(),
            bytes: AtomicUsize::new(0),
        };
        let query = Messages {
            account,
            mailbox,
            uids: UidRanges(vec![from..=u32::MAX]),
            detail: Detail::Summary,
            changed_since: ModSeq(0),
            limit: 10_000,
        };
        let page = answer(&counting, query).await.unwrap();
        let read = counting.bytes.load(Ordering::SeqCst);
        assert!(read < BYTES + SUMMARIES * LONGEST, "{read} bytes");
        assert!(!page.messages.is_empty());
        told.extend(page.messages);
        match page.next {
            Some(next) => from = next.0,
            None => break,
        }
    }
    assert_eq!(told.len(), 100);
    for (n, message) in (0..).zip(&told) {
        assert_eq!(message.uid, Uid(u32::from(n) + 1));
        assert_eq!((message.summary.len(), message.summary[0]), (LONGEST, n));
    }
}
