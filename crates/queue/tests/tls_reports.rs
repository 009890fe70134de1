//! What becomes of the results of a day over the rounds in which they are reported,
//! where some place does not take the report. Over the memory metadata store.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use postrider_blob::Store;
use postrider_body::Bodies;
use postrider_dkim::{Algorithm, Key};
use postrider_meta::command::{AddAccount, AddDomain, RecordTls, SetDkimKeys};
use postrider_meta::memory::Memory;
use postrider_meta::{
    Client, DkimAlgorithm, DkimKey, DkimState, QuotaLimit, ReadAt, TlsPolicy, TlsPolicyKind,
    TlsRecord, TlsResults, query,
};
use postrider_proto::smtp::SrsKey;
use postrider_queue::{Courier, Handles, ReportError, Reported, Settings, TlsReporter, Wake};
use postrider_route::testing::{Data, DnsServer};
use postrider_types::{AccountId, Address, Clock, DomainName, Millis, NodeId, Random};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3_600);
/// The day of the results.
const DAY: u32 = 20_000;

/// A clock that is set by hand.
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

struct Counted(AtomicU64);

impl Random for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        for (byte, from) in bytes.iter_mut().zip(count.iter().cycle()) {
            *byte = *from;
        }
    }
}

/// A cluster that has results of `outside.test`, which wants its report in two
/// places: by mail, and by HTTPS at a port where nobody listens.
struct World {
    clock: Arc<Hands>,
    meta: Client,
    reporter: TlsReporter,
    dns: DnsServer,
    _folder: TempDir,
}

impl World {
    async fn new() -> Self {
        Self::with_sender("postmaster@example.test").await
    }

    async fn with_sender(from: &str) -> Self {
        let dns = DnsServer::start().await;
        dns.add_zone("outside.test", false);
        let host = Data::A(Ipv4Addr::LOCALHOST);
        dns.add("reports.outside.test", host);
        let clock = Arc::new(Hands(AtomicU64::new(0)));
        let random = Arc::new(Counted(AtomicU64::new(0)));
        let meta = Client::new(Memory::new(clock.clone()), clock.clone(), random);
        let folder = tempfile::tempdir().unwrap();
        let blob = postrider_blob::Settings {
            folder: Some(folder.path().to_owned()),
            ..postrider_blob::Settings::default()
        };
        let blobs = Store::open(&blob).unwrap();
        let mut settings = Settings {
            dns: dns.settings(),
            ..Settings::default()
        };
        settings.tls_reports.from = Some(from.into());
        let handles = Handles {
            meta: meta.clone(),
            bodies: Bodies::new(meta.clone(), blobs, postrider_body::Settings::default()),
            node: NodeId(1),
            hostname: "mail.example.test".into(),
            addresses: Vec::new(),
            srs: SrsKey::new([7; 32]),
            postmaster: None,
            unsubscribe: None,
        };
        let courier = Courier::new(handles, settings, Wake::default()).unwrap();
        let world = Self {
            reporter: courier.tls_reporter(),
            clock,
            meta,
            dns,
            _folder: folder,
        };
        let url = format!("https://reports.outside.test:{}/", free_port());
        world.want(&format!("{url},mailto:tls@outside.test"));
        world.count().await;
        world.host().await;
        world
    }

    /// Makes `example.test` a local domain that signs.
    async fn host(&self) {
        let name = DomainName::parse("example.test").unwrap();
        let add = AddDomain {
            name: name.clone(),
            internal: false,
            catch_all: None,
            relay: None,
        };
        self.meta.run(add).await.unwrap().0.unwrap();
        let key = Key::generate(Algorithm::Ed25519).unwrap();
        let key = DkimKey {
            selector: "one".into(),
            algorithm: DkimAlgorithm::Ed25519Sha256,
            private: key.to_pkcs8().unwrap().into(),
            public: key.public_key().to_owned().into(),
            state: DkimState::Active,
            created: Millis(0),
        };
        let set = SetDkimKeys {
            domain: name,
            before: Vec::new(),
            keys: vec![key],
        };
        self.meta.run(set).await.unwrap().0.unwrap();
    }

    async fn add_account(&self, address: &str) -> AccountId {
        let add = AddAccount {
            address: Address::parse(address).unwrap(),
            verifier: "none".into(),
            quota: QuotaLimit::default(),
            expires: None,
        };
        self.meta.run(add).await.unwrap().0.unwrap()
    }

    /// How many messages an account has.
    async fn messages(&self, account: AccountId) -> u64 {
        let ask = query::Quota { account };
        let (quota, _) = self.meta.ask(ask, ReadAt::Latest).await.unwrap();
        quota.messages
    }

    fn want(&self, places: &str) {
        let record = Data::txt(&format!("v=TLSRPTv1; rua={places}"));
        self.dns.set("_smtp._tls.outside.test", [record]);
    }

    async fn count(&self) {
        let record = TlsRecord {
            day: DAY,
            domain: DomainName::parse("outside.test").unwrap(),
            policy: TlsPolicy {
                kind: TlsPolicyKind::None,
                strings: Vec::new(),
                hosts: Vec::new(),
            },
            successes: 1,
            failures: Vec::new(),
        };
        let records = vec![record];
        let (recorded, _) = self.meta.run(RecordTls { records }).await.unwrap();
        recorded.unwrap();
    }

    /// What a round does so long after the beginning of the results' day.
    async fn round(&self, after: Duration) -> (u64, u64) {
        let now = Millis(u64::from(DAY) * 86_400_000).after(after);
        self.clock.0.store(now.0, Ordering::SeqCst);
        let reported = self.reporter.send(0..u32::MAX, None).await.unwrap();
        let Reported { sent, kept, next } = reported;
        assert_eq!(next, None);
        (sent, kept)
    }

    async fn results(&self) -> Vec<TlsResults> {
        let ask = query::TlsResults {
            after: None,
            limit: 20,
            from: 0,
            before: u32::MAX,
        };
        self.meta.ask(ask, ReadAt::Latest).await.unwrap().0.items
    }

    async fn queued(&self) -> u64 {
        let ask = query::QueueStats {};
        self.meta.ask(ask, ReadAt::Latest).await.unwrap().0.entries
    }
}

/// A port where nobody listens.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_place_that_takes_nothing_is_tried_for_a_day_and_others_are_told_once() {
    let world = World::new().await;
    assert_eq!(world.round(25 * HOUR).await, (0, 1));
    assert_eq!(world.results().await[0].sent, ["mailto:tls@outside.test"]);
    assert_eq!(world.queued().await, 1);
    assert_eq!(world.round(47 * HOUR).await, (0, 1));
    assert_eq!(world.queued().await, 1);
    assert_eq!(world.results().await.len(), 1);
    assert_eq!(world.round(48 * HOUR).await, (0, 0));
    assert_eq!(world.queued().await, 1);
    assert!(world.results().await.is_empty());
}

#[tokio::test]
async fn nothing_of_a_day_that_goes_on_is_told_in_part() {
    let world = World::new().await;
    assert_eq!(world.round(23 * HOUR).await, (0, 1));
    assert_eq!(world.queued().await, 0);
    world.count().await;
    world.want("mailto:tls@outside.test,mailto:more@outside.test");
    assert_eq!(world.round(25 * HOUR).await, (1, 0));
    assert_eq!(world.queued().await, 1);
    assert!(world.results().await.is_empty());
}

#[tokio::test]
async fn results_that_nobody_wants_are_forgotten() {
    let world = World::new().await;
    world.dns.set("_smtp._tls.outside.test", []);
    assert_eq!(world.round(25 * HOUR).await, (0, 0));
    assert_eq!(world.queued().await, 0);
    assert!(world.results().await.is_empty());
}

#[tokio::test]
async fn nothing_is_told_in_the_name_of_a_domain_that_does_not_sign() {
    let world = World::with_sender("postmaster@unsigned.test").await;
    let days = 0..u32::MAX;
    let error = world.reporter.send(days, None).await.unwrap_err();
    assert!(matches!(error, ReportError::Unsigned(_)), "{error}");
    assert!(error.to_string().contains("queue.tls_reports.from"));
    assert_eq!(world.results().await.len(), 1);
}

#[tokio::test]
async fn a_place_here_is_a_mailbox() {
    let world = World::new().await;
    let ann = world.add_account("ann@example.test").await;
    world.want("mailto:ann@example.test,mailto:ann+tls@example.test,mailto:x@example.test");
    assert_eq!(world.round(25 * HOUR).await, (1, 0));
    assert_eq!(world.messages(ann).await, 1);
    assert_eq!(world.queued().await, 0);
    assert!(world.results().await.is_empty());
}

#[tokio::test]
async fn a_place_here_that_nobody_has_gets_nothing() {
    let world = World::new().await;
    world.want("mailto:nobody@example.test");
    assert_eq!(world.round(25 * HOUR).await, (0, 0));
    assert_eq!(world.queued().await, 0);
    assert!(world.results().await.is_empty());
}
