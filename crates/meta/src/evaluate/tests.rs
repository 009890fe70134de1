//! A command that cannot be evaluated fails alone.

use postrider_kv::memory::{Engine, Snapshot};
use postrider_kv::{Buffered, Op, Pair, Range};
use postrider_types::{Address, Clock, DomainName, Millis};

use super::*;
use crate::testing::{CountingRandom, ManualClock};
use crate::{QuotaLimit, check_consistency, command as c, row};

/// How reads of the default mailboxes go.
#[derive(Clone, Copy)]
enum Trouble {
    None,
    Panic,
    Engine,
}

/// A snapshot with trouble under one key: that of the default mailboxes, which
/// AddAccount reads after it has written most of its rows.
struct Troubled(Snapshot, Trouble);

impl Read for Troubled {
    async fn get(&self, key: &[u8]) -> kv::Result<Option<Bytes>> {
        match self.1 {
            Trouble::Panic if key == key::default_mailboxes() => panic!("a mistake"),
            Trouble::Engine if key == key::default_mailboxes() => {
                Err(kv::Error::Engine("the disk is gone".into()))
            }
            _ => self.0.get(key).await,
        }
    }

    async fn get_many(&self, keys: &[Vec<u8>]) -> kv::Result<Vec<Option<Bytes>>> {
        self.0.get_many(keys).await
    }

    async fn range(&self, range: Range) -> kv::Result<Vec<Pair>> {
        self.0.range(range).await
    }
}

fn add_domain(name: &str) -> Command {
    let name = DomainName::parse(name).unwrap();
    Command::AddDomain(c::AddDomain {
        name,
        internal: false,
        catch_all: None,
        relay: None,
    })
}

fn add_account(address: &str) -> Command {
    Command::AddAccount(c::AddAccount {
        address: Address::parse(address).unwrap(),
        verifier: "$argon2id$".into(),
        quota: QuotaLimit::default(),
        expires: None,
    })
}

fn add_alias(address: &str, target: &str) -> Command {
    Command::SetAlias(c::SetAlias {
        address: Address::parse(address).unwrap(),
        targets: vec![Address::parse(target).unwrap()],
        only_new: true,
    })
}

struct Store {
    engine: Engine,
    random: CountingRandom,
    now: Millis,
}

impl Store {
    fn new() -> Self {
        Self {
            engine: Engine::new(),
            random: CountingRandom::default(),
            now: ManualClock::new().now(),
        }
    }

    fn context(&self) -> Context {
        Context {
            now: self.now,
            latest: self.now,
            id: postrider_types::CommandId::new(self.now, &self.random),
            version: Default::default(),
        }
    }

    fn txn(&self, trouble: Trouble) -> Buffered<Troubled> {
        Buffered::new(Troubled(self.engine.snapshot(), trouble))
    }

    async fn commit(&self, txn: Buffered<Troubled>) {
        self.engine.apply(txn.into_ops().await.unwrap());
        let findings = check_consistency(&self.engine.snapshot()).await.unwrap();
        assert_eq!(findings, Vec::<String>::new());
    }

    /// Runs an AddAccount that meets `trouble` between two commands that do
    /// not, commits, and answers how it failed. Then tries it again without.
    async fn run_between(&self, trouble: Trouble) -> String {
        let mut txn = self.txn(trouble);
        let cx = [self.context(), self.context(), self.context()];
        let before = evaluate(&mut txn, &cx[0], add_domain("example.test")).await;
        assert!(matches!(before.unwrap().verdict, Ok(Ok(_))));
        let start = txn.savepoint();
        let failed = evaluate(&mut txn, &cx[1], add_account("ann@example.test"))
            .await
            .expect("the batch goes on");
        assert!(!failed.repeated && failed.accounts.is_empty());
        assert_eq!(txn.keys_since(start).next(), None, "left something behind");
        let Err(Error::Failed(text)) = failed.verdict else {
            panic!("{:?}", failed.verdict);
        };
        let alias = add_alias("ann@example.test", "x@example.test");
        let after = evaluate(&mut txn, &cx[2], alias).await.unwrap();
        assert!(matches!(after.verdict, Ok(Ok(_))), "the address is free");
        let repaired = Op::Delete {
            key: key::default_mailboxes().into(),
        };
        self.engine.apply([repaired]);
        self.commit(txn).await;

        // There is no verdict to repeat: under the same id it is tried anew.
        let mut txn = self.txn(Trouble::None);
        let again = evaluate(&mut txn, &cx[1], add_account("bob@example.test"));
        let again = again.await.unwrap();
        assert!(!again.repeated && matches!(again.verdict, Ok(Ok(_))));
        assert_eq!(again.accounts.len(), 1);
        let repeated = evaluate(&mut txn, &cx[0], add_domain("example.test"));
        let repeated = repeated.await.unwrap();
        assert!(repeated.repeated && matches!(repeated.verdict, Ok(Ok(_))));
        self.commit(txn).await;
        text
    }
}

#[tokio::test]
async fn a_panic_fails_its_command_alone() {
    let text = Store::new().run_between(Trouble::Panic).await;
    assert!(
        text.contains("AddAccount") && text.contains("a mistake"),
        "{text}"
    );
}

#[tokio::test]
async fn a_damaged_row_fails_its_command_alone() {
    for damage in [&b""[..], &[99], &[row::VERSION, 0xff, 0xff]] {
        let store = Store::new();
        store.engine.apply([Op::Put {
            key: key::default_mailboxes().into(),
            value: Bytes::from_static(damage),
        }]);
        let text = store.run_between(Trouble::None).await;
        assert!(
            text.contains("AddAccount") && text.contains("damaged"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_broken_engine_fails_the_batch() {
    let store = Store::new();
    let mut txn = store.txn(Trouble::Engine);
    let cx = [store.context(), store.context()];
    let domain = evaluate(&mut txn, &cx[0], add_domain("example.test"));
    assert!(domain.await.is_ok());
    let account = evaluate(&mut txn, &cx[1], add_account("ann@example.test"));
    assert!(matches!(account.await, Err(kv::Error::Engine(_))));
}

#[tokio::test]
async fn a_refusal_leaves_only_its_verdict() {
    let store = Store::new();
    let mut txn = store.txn(Trouble::None);
    evaluate(&mut txn, &store.context(), add_domain("example.test"))
        .await
        .unwrap();
    let (cx, start) = (store.context(), txn.savepoint());
    let group = |member: &str| {
        Command::SetGroup(c::SetGroup {
            address: Address::parse("team@example.test").unwrap(),
            add: Vec::new(),
            remove: vec![Address::parse(member).unwrap()],
            internal: c::Change::Keep,
            list: c::ListChange::default(),
            only_new: true,
        })
    };
    // It has taken the address by the time that it is refused.
    for repeated in [false, true] {
        let refused = evaluate(&mut txn, &cx, group("none@example.test"))
            .await
            .unwrap();
        assert_eq!(refused.repeated, repeated);
        assert!(matches!(refused.verdict, Ok(Err(Refusal::NotFound(_)))));
        assert!(txn.keys_since(start).eq([key::verdict(cx.id)]));
    }
    store.commit(txn).await;
}

#[tokio::test]
async fn a_damaged_verdict_is_not_evaluated_again() {
    let store = Store::new();
    let cx = store.context();
    for damage in [&b""[..], &[99], &[VERSION, 0xc1]] {
        let mut txn = store.txn(Trouble::None);
        txn.put(key::verdict(cx.id), Bytes::from_static(damage));
        let start = txn.savepoint();
        let failed = evaluate(&mut txn, &cx, add_domain("example.test"))
            .await
            .unwrap();
        assert!(matches!(&failed.verdict, Err(Error::Failed(text)) if text.contains("damaged")));
        assert_eq!(txn.keys_since(start).next(), None);
    }
}

#[tokio::test]
async fn a_command_whose_verdict_may_be_forgotten_is_not_evaluated() {
    let store = Store::new();
    let mut txn = store.txn(Trouble::None);
    let dated = |now: Millis| Context {
        now,
        latest: now,
        id: postrider_types::CommandId::new(store.now, &store.random),
        version: Default::default(),
    };
    let far = limit::COMMAND_AGE + std::time::Duration::from_millis(1);
    for now in [store.now.after(far), store.now.before(far)] {
        let start = txn.savepoint();
        let failed = evaluate(&mut txn, &dated(now), add_domain("example.test")).await;
        let failed = failed.unwrap().verdict;
        assert!(matches!(&failed, Err(Error::Failed(text)) if text.contains("NTP")));
        assert_eq!(txn.keys_since(start).next(), None);
    }
    // Where there is a verdict, it is told however late.
    let cx = dated(store.now);
    evaluate(&mut txn, &cx, add_domain("example.test"))
        .await
        .unwrap();
    let late = Context {
        now: cx.now.after(far),
        ..cx
    };
    let again = evaluate(&mut txn, &late, add_domain("example.test")).await;
    assert!(again.unwrap().repeated);
}
