//! The store that scenarios start from, and short ways to use it.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use postrider_types::{
    AccountId, Address, BodyId, Clock, DomainName, Flag, Flags, MailboxId, ModSeq, Uid,
};

use super::{Backend, CountingRandom, ManualClock};
use crate::command as c;
use crate::query as q;
use crate::{
    Act, Ask, Client, Content, Detail, DomainView, Encoding, MailboxView, MessageView, NewBody,
    QuotaLimit, ReadAt, Refusal, UidRanges,
};

/// A store with the domain `example.test` and the account `ann`.
pub(super) struct Fixture {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) client: Client,
    pub(super) clock: Arc<ManualClock>,
    pub(super) random: Arc<CountingRandom>,
    pub(super) ann: AccountId,
}

/// Why a call that must succeed did not, with the place in the test.
fn succeed<T, E: Debug>(result: Result<T, E>) -> T {
    result.expect("the command is in order")
}

impl Fixture {
    pub(super) async fn new<B: Backend>(backend: Arc<B>, clock: Arc<ManualClock>) -> Self {
        let random = Arc::new(CountingRandom::default());
        let client = Client::new(backend.clone(), clock.clone(), random.clone());
        let mut fixture = Self {
            backend,
            client,
            clock,
            random,
            ann: AccountId(0),
        };
        fixture.run(add_domain("example.test")).await;
        fixture.ann = fixture.add_account("ann", QuotaLimit::default()).await;
        fixture
    }

    pub(super) fn address(local: &str) -> Address {
        address(&format!("{local}@example.test"))
    }

    pub(super) async fn add_account(&self, local: &str, quota: QuotaLimit) -> AccountId {
        let account = c::AddAccount {
            quota,
            ..add_account(&format!("{local}@example.test"))
        };
        self.run(account).await
    }

    pub(super) async fn domain(&self, name: &str) -> Option<DomainView> {
        let page = self.ask(q::Domains {
            after: None,
            limit: 1000,
        });
        let mut items = page.await.items.into_iter();
        items.find(|domain| domain.name.as_str() == name)
    }

    pub(super) async fn check(&self, scenario: &str) {
        let findings = self.backend.check().await;
        assert!(findings.is_empty(), "after {scenario}: {findings:#?}");
    }

    /// Executes a command that must succeed.
    pub(super) async fn run<A: Act>(&self, act: A) -> A::Outcome {
        succeed(self.try_run(act).await)
    }

    pub(super) async fn try_run<A: Act>(&self, act: A) -> Result<A::Outcome, Refusal> {
        self.client.run(act).await.expect("the backend is up").0
    }

    /// Executes a command that must be refused.
    pub(super) async fn refused<A: Act>(&self, act: A) -> Refusal {
        self.try_run(act)
            .await
            .err()
            .expect("the command is refused")
    }

    pub(super) async fn ask<A: Ask>(&self, ask: A) -> A::Answer {
        let answer = self.client.ask(ask, ReadAt::Latest).await;
        answer.expect("the backend is up").0
    }

    /// A body that travels inline.
    pub(super) fn body(&self, text: &str) -> NewBody {
        let content = Content::Inline(Bytes::copy_from_slice(text.as_bytes()));
        self.body_of(text.len() as u64, content)
    }

    pub(super) fn body_of(&self, size: u64, content: Content) -> NewBody {
        NewBody {
            id: BodyId::new(self.clock.now(), &*self.random),
            size,
            checksum: [7; 32],
            encoding: Encoding::Identity,
            content,
            summary: Bytes::from_static(b"summary"),
            inline_budget: u64::MAX,
        }
    }

    /// The key of an object whose upload begins now.
    pub(super) fn pack_key(&self) -> String {
        format!("pack/{}", BodyId::new(self.clock.now(), &*self.random))
    }

    pub(super) fn delivery(account: AccountId, mailbox: &str) -> c::Delivery {
        c::Delivery {
            account,
            mailbox: mailbox.into(),
            prefix: Bytes::from_static(b"Received: here\r\n"),
            flags: Flags::new(),
            overdraft: false,
        }
    }

    /// Delivers `text` to ann.
    pub(super) async fn accept(&self, mailbox: &str, text: &str) -> c::Delivered {
        let accepted = self.run(c::Accept {
            body: self.body(text),
            deliveries: vec![Self::delivery(self.ann, mailbox)],
            received: self.clock.now(),
            queued: None,
            origin: None,
            notices: Vec::new(),
        });
        succeed(accepted.await.deliveries.remove(0))
    }

    /// Delivers `count` messages to ann's INBOX, and answers its id.
    pub(super) async fn fill_inbox(&self, count: usize) -> MailboxId {
        for n in 0..count {
            self.accept("INBOX", &format!("message {n}")).await;
        }
        self.mailbox("INBOX").await.id
    }

    pub(super) async fn create(&self, name: &str) -> MailboxId {
        let created = self.run(c::CreateMailbox {
            account: self.ann,
            name: name.into(),
            special_use: None,
        });
        created.await
    }

    pub(super) async fn find(&self, name: &str) -> Option<MailboxView> {
        let found = self.ask(q::MailboxByName {
            account: self.ann,
            name: name.into(),
        });
        found.await
    }

    pub(super) async fn mailbox(&self, name: &str) -> MailboxView {
        self.find(name).await.expect("the mailbox exists")
    }

    pub(super) async fn messages(&self, mailbox: MailboxId) -> Vec<MessageView> {
        let page = self.ask(q::Messages {
            account: self.ann,
            mailbox,
            uids: all(),
            detail: Detail::Summary,
            changed_since: ModSeq(0),
            limit: 10_000,
        });
        page.await.messages
    }

    pub(super) async fn uids(&self, mailbox: MailboxId) -> Vec<u32> {
        let messages = self.messages(mailbox).await;
        messages.iter().map(|message| message.uid.0).collect()
    }

    pub(super) async fn store(
        &self,
        mailbox: MailboxId,
        uids: UidRanges,
        flags: &[&str],
    ) -> c::Stored {
        let stored = self.run(c::Store {
            account: self.ann,
            mailbox,
            uids,
            mode: c::StoreMode::Add,
            flags: flags_of(flags),
            unchanged_since: None,
        });
        stored.await
    }

    pub(super) async fn expunge(&self, mailbox: MailboxId) -> Vec<u32> {
        let expunged = self.run(c::Expunge {
            account: self.ann,
            mailbox,
            uids: all(),
            only_deleted: true,
            limit: 20_000,
        });
        expunged.await.uids.iter().map(|uid| uid.0).collect()
    }

    pub(super) async fn inline_usage(&self) -> u64 {
        self.ask(q::InlineUsage {}).await
    }

    pub(super) async fn purge(&self) -> usize {
        let mut steps = 1;
        while self.run(c::Purge { limit: 2 }).await.more {
            steps += 1;
        }
        steps
    }

    pub(super) async fn changes(
        &self,
        mailbox: MailboxId,
        since: ModSeq,
        limit: u32,
    ) -> q::ChangePage {
        let page = self.ask(q::ChangesSince {
            account: self.ann,
            mailbox,
            since,
            limit,
        });
        page.await
    }
}

pub(super) fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

/// A new domain.
pub(super) fn add_domain(text: &str) -> c::AddDomain {
    c::AddDomain {
        name: DomainName::parse(text).expect("a domain"),
        internal: false,
        catch_all: None,
        relay: None,
    }
}

/// A new account.
pub(super) fn add_account(text: &str) -> c::AddAccount {
    c::AddAccount {
        address: address(text),
        verifier: "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA".into(),
        quota: QuotaLimit::default(),
        expires: None,
    }
}

/// A new alias.
pub(super) fn set_alias(alias: &str, targets: &[&str]) -> c::SetAlias {
    c::SetAlias {
        address: address(alias),
        targets: targets.iter().map(|text| address(text)).collect(),
        only_new: true,
    }
}

/// A new group.
pub(super) fn set_group(group: &str, members: &[&str]) -> c::SetGroup {
    c::SetGroup {
        address: address(group),
        add: members.iter().map(|text| address(text)).collect(),
        remove: Vec::new(),
        internal: c::Change::Keep,
        list: c::ListChange::default(),
        only_new: true,
    }
}

pub(super) fn all() -> UidRanges {
    UidRanges(vec![1..=u32::MAX])
}

pub(super) fn some(uids: &[u32]) -> UidRanges {
    UidRanges(uids.iter().map(|uid| *uid..=*uid).collect())
}

pub(super) fn flags_of(words: &[&str]) -> Flags {
    words
        .iter()
        .map(|word| Flag::parse(word).expect("a flag"))
        .collect()
}

pub(super) fn numbers(uids: &[Uid]) -> Vec<u32> {
    uids.iter().map(|uid| uid.0).collect()
}
