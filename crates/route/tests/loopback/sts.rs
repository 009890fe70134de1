//! How policies are discovered, fetched and kept.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider_route::sts::{
    CachedPolicy, Discovery, Mode, PolicyCache, ProblemKind, Settings, Sts,
};
use postrider_route::testing::{Data, DnsServer, Fault};
use postrider_route::{Error, Resolver};
use postrider_types::{DomainName, Millis};

use crate::domain;
use crate::policy_server::PolicyServer;

const DAY: Duration = Duration::from_secs(86_400);
const START: Millis = Millis(1_780_000_000_000);

/// A cache in memory that can be made to fail.
#[derive(Default)]
struct Memory {
    kept: Mutex<HashMap<DomainName, CachedPolicy>>,
    broken: Mutex<bool>,
}

#[async_trait]
impl PolicyCache for Memory {
    async fn load(&self, domain: &DomainName) -> Result<Option<CachedPolicy>, String> {
        match *self.broken.lock() {
            true => Err("no majority".into()),
            false => Ok(self.kept.lock().get(domain).cloned()),
        }
    }

    async fn store(&self, domain: &DomainName, policy: &CachedPolicy) {
        self.kept.lock().insert(domain.clone(), policy.clone());
    }
}

/// The domain example.org with its record, its policy server and a client.
struct Fixture {
    dns: DnsServer,
    server: PolicyServer,
    cache: Memory,
    sts: Sts,
    settings: Settings,
    _authority: tempfile::NamedTempFile,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(Settings::default(), "mta-sts.example.org").await
    }

    async fn with(settings: Settings, certified: &str) -> Self {
        let server = PolicyServer::start(certified).await;
        server.serve(&policy("enforce", 30));
        let dns = DnsServer::start().await;
        dns.add_zone("example.org", false);
        dns.add("mta-sts.example.org", Data::address(server.address.ip()));
        let authority = tempfile::NamedTempFile::new().unwrap();
        server.write_authority(authority.path());
        let settings = Settings {
            port: server.address.port(),
            extra_authorities: Some(authority.path().to_owned()),
            ..settings
        };
        let resolver = Resolver::new(&dns.settings()).unwrap();
        let fixture = Self {
            sts: Sts::new(resolver, &settings).unwrap(),
            dns,
            server,
            cache: Memory::default(),
            settings,
            _authority: authority,
        };
        fixture.announce("1");
        fixture
    }

    fn announce(&self, id: &str) {
        let record = Data::txt(&format!("v=STSv1; id={id};"));
        self.dns.set("_mta-sts.example.org", [record]);
    }

    /// The client of another node, with a resolver of its own.
    fn another(&self) -> Sts {
        let resolver = Resolver::new(&self.dns.settings()).unwrap();
        Sts::new(resolver, &self.settings).unwrap()
    }

    async fn discover(&self, after: Duration) -> Result<Discovery, Error> {
        self.discover_by(&self.sts, after).await
    }

    async fn discover_by(&self, sts: &Sts, after: Duration) -> Result<Discovery, Error> {
        let now = START.after(after);
        sts.policy(&domain("example.org"), &self.cache, now).await
    }

    /// The id and mode of the valid policy, and the kind of problem.
    async fn seen(&self, after: Duration) -> (Option<(String, Mode)>, Option<ProblemKind>) {
        self.seen_by(&self.sts, after).await
    }

    async fn seen_by(
        &self,
        sts: &Sts,
        after: Duration,
    ) -> (Option<(String, Mode)>, Option<ProblemKind>) {
        let found = self.discover_by(sts, after).await.unwrap();
        let policy = found.policy.map(|p| (p.id, p.policy.mode));
        (policy, found.problem.map(|p| p.kind))
    }

    /// The problem of a fetch that fails where nothing is kept.
    async fn problem(&self) -> (ProblemKind, String) {
        let found = self.discover(Duration::ZERO).await.unwrap();
        assert_eq!(found.policy, None);
        let problem = found.problem.unwrap();
        (problem.kind, problem.text)
    }
}

/// A policy for mx.example.org that lasts `days`.
fn policy(mode: &str, days: u64) -> String {
    let seconds = days * DAY.as_secs();
    format!("version: STSv1\r\nmode: {mode}\r\nmx: mx.example.org\r\nmax_age: {seconds}\r\n")
}

fn kept(id: &str, mode: Mode) -> Option<(String, Mode)> {
    Some((id.to_owned(), mode))
}

#[tokio::test]
async fn a_policy_is_fetched_once_and_kept() {
    let at = Fixture::new().await;
    let found = at.discover(Duration::ZERO).await.unwrap();
    assert_eq!(found.problem, None);
    let found = found.policy.unwrap();
    assert!(found.policy.permits("mx.example.org"));
    assert!(!found.policy.permits("mx.example.com"));
    assert_eq!(
        (found.fetched, found.expires),
        (START, START.after(30 * DAY))
    );
    let head = &at.server.requests()[0];
    assert!(
        head.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.to_lowercase().contains("host: mta-sts.example.org:"),
        "{head}"
    );

    assert_eq!(at.seen(DAY / 2).await, (kept("1", Mode::Enforce), None));
    assert_eq!(at.server.requests().len(), 1);
}

#[tokio::test]
async fn connections_at_the_same_time_fetch_a_policy_once() {
    let at = Fixture::new().await;
    let all = futures::future::join_all([(); 5].map(|()| at.seen(Duration::ZERO))).await;
    assert!(all.iter().all(|it| *it == (kept("1", Mode::Enforce), None)));
    assert_eq!(at.server.requests().len(), 1);
    at.server.respond("HTTP/1.1 404 Not Found\r\n\r\n");
    at.announce("2");
    let all = futures::future::join_all([(); 5].map(|()| at.seen(DAY / 24))).await;
    let problem = Some(ProblemKind::Fetch);
    assert!(
        all.iter()
            .all(|it| *it == (kept("1", Mode::Enforce), problem))
    );
    assert_eq!(at.server.requests().len(), 2);
}

#[tokio::test]
async fn a_new_id_brings_a_new_policy() {
    let at = Fixture::new().await;
    at.seen(Duration::ZERO).await;
    at.server.serve(&policy("testing", 30));
    at.announce("2");
    assert_eq!(at.seen(DAY / 24).await, (kept("2", Mode::Testing), None));
    assert_eq!(at.server.requests().len(), 2);
}

#[tokio::test]
async fn nodes_whose_resolvers_hold_different_records_do_not_fetch_by_turns() {
    let at = Fixture::new().await;
    at.dns.set_ttl("example.org", 3600);
    let hour = DAY / 24;
    at.seen(Duration::ZERO).await;
    at.server.serve(&policy("testing", 30));
    at.announce("2");
    // The first node's resolver still has the old record.
    let other = at.another();
    for _ in 0..2 {
        assert_eq!(
            at.seen_by(&other, hour).await,
            (kept("2", Mode::Testing), None)
        );
        assert_eq!(at.seen(hour).await, (kept("2", Mode::Testing), None));
    }
    assert_eq!(at.server.requests().len(), 2);
    // So has that of a third one, which cannot know what is newer. That is the end of it.
    at.announce("1");
    let third = at.another();
    for sts in [&third, &at.sts, &other] {
        let (found, problem) = at.seen_by(sts, 2 * hour).await;
        assert_eq!((found, problem), (kept("1", Mode::Testing), None));
    }
    assert_eq!(at.server.requests().len(), 3);
    // A policy that nobody has fetched since is another matter.
    at.server.serve(&policy("enforce", 30));
    at.announce("3");
    let fourth = at.another();
    for sts in [&fourth, &at.sts, &other, &third] {
        let (found, problem) = at.seen_by(sts, 3 * hour).await;
        assert_eq!((found, problem), (kept("3", Mode::Enforce), None));
    }
    assert_eq!(at.server.requests().len(), 4);
}

#[tokio::test]
async fn an_old_policy_is_fetched_again_in_time() {
    let at = Fixture::new().await;
    at.seen(Duration::ZERO).await;
    at.seen(DAY).await;
    assert_eq!(at.server.requests().len(), 2);
    // The new one counts from then on.
    assert_eq!(at.seen(30 * DAY).await, (kept("1", Mode::Enforce), None));
    assert_eq!(at.server.requests().len(), 3);
}

#[tokio::test]
async fn a_kept_policy_is_valid_until_it_runs_out() {
    let at = Fixture::new().await;
    at.seen(Duration::ZERO).await;
    at.server.respond("HTTP/1.1 500 Broken\r\n\r\n");
    at.announce("2");
    let problem = Some(ProblemKind::Fetch);
    let last = 30 * DAY - Duration::from_millis(1);
    assert_eq!(at.seen(last).await, (kept("1", Mode::Enforce), problem));
    assert_eq!(at.seen(30 * DAY).await, (None, problem));
}

#[tokio::test]
async fn a_kept_policy_outlives_its_record() {
    let at = Fixture::new().await;
    at.seen(Duration::ZERO).await;
    at.dns.set("_mta-sts.example.org", []);
    assert_eq!(at.seen(DAY).await, (kept("1", Mode::Enforce), None));
    at.dns
        .fail("_mta-sts.example.org", None, Some(Fault::ServFail));
    let problem = Some(ProblemKind::Fetch);
    assert_eq!(at.seen(DAY).await, (kept("1", Mode::Enforce), problem));
    assert_eq!(at.seen(30 * DAY).await, (None, problem));
    assert_eq!(at.server.requests().len(), 1);
}

#[tokio::test]
async fn without_a_record_nothing_is_fetched() {
    let at = Fixture::new().await;
    at.dns
        .set("_mta-sts.example.org", [Data::txt("v=spf1 -all")]);
    assert_eq!(at.seen(Duration::ZERO).await, (None, None));
    assert_eq!(at.server.connections(), 0);
}

#[tokio::test]
async fn a_failed_fetch_is_not_repeated_at_once() {
    let at = Fixture::new().await;
    at.server.respond("HTTP/1.1 404 Not Found\r\n\r\n");
    let problem = Some(ProblemKind::Fetch);
    let minute = Duration::from_secs(60);
    assert_eq!(at.seen(Duration::ZERO).await, (None, problem));
    at.server.serve(&policy("enforce", 30));
    assert_eq!(at.seen(4 * minute).await, (None, problem));
    assert_eq!(at.server.requests().len(), 1);
    assert_eq!(at.seen(5 * minute).await, (kept("1", Mode::Enforce), None));

    at.server.respond("HTTP/1.1 404 Not Found\r\n\r\n");
    at.announce("2");
    at.seen(6 * minute).await;
    at.server.serve(&policy("none", 1));
    at.announce("3");
    assert_eq!(at.seen(7 * minute).await, (kept("3", Mode::None), None));
}

#[tokio::test]
async fn a_cache_that_fails_is_temporary() {
    let at = Fixture::new().await;
    *at.cache.broken.lock() = true;
    let error = at.discover(Duration::ZERO).await.unwrap_err();
    assert!(!error.is_permanent());
    assert!(error.text().contains("no majority"), "{error}");
}

#[tokio::test]
async fn what_is_no_policy_is_refused() {
    let long = format!("x: {}", "y".repeat(64 << 10));
    let plain = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
    let cases = [
        (
            "HTTP/1.1 301 Moved\r\nLocation: https://example.org/\r\n\r\n".to_owned(),
            ProblemKind::Fetch,
            "redirects",
        ),
        (
            "HTTP/1.1 204 Empty\r\n\r\n".to_owned(),
            ProblemKind::Fetch,
            "204",
        ),
        (
            "SSH-2.0\r\n\r\n".to_owned(),
            ProblemKind::Fetch,
            "cannot fetch",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n".to_owned() + &policy("none", 1),
            ProblemKind::Invalid,
            "text/plain",
        ),
        (format!("{plain}\r\n{long}"), ProblemKind::Invalid, "longer"),
        (
            format!("{plain}Content-Length: {}\r\n\r\n{long}", long.len()),
            ProblemKind::Invalid,
            "longer",
        ),
        (
            format!(
                "{plain}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
                long.len()
            ),
            ProblemKind::Invalid,
            "longer",
        ),
        (
            format!("{plain}\r\nversion: STSv2"),
            ProblemKind::Invalid,
            "version",
        ),
        (
            format!("{plain}Content-Length: 999\r\n\r\n{}", policy("none", 1)),
            ProblemKind::Fetch,
            "cannot fetch",
        ),
        (
            format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", long.repeat(4)),
            ProblemKind::Fetch,
            "cannot fetch",
        ),
    ];
    let at = Fixture::new().await;
    for (id, (response, kind, words)) in cases.into_iter().enumerate() {
        at.server.respond(&response);
        at.announce(&id.to_string());
        let (found, text) = at.problem().await;
        assert_eq!(found, kind, "{text}");
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn the_certificate_must_be_for_the_policy_host() {
    let at = Fixture::with(Settings::default(), "www.example.org").await;
    assert_eq!(at.problem().await.0, ProblemKind::Certificate);
    assert!(at.server.requests().is_empty());
}

#[tokio::test]
async fn the_certificate_must_have_a_known_authority() {
    let at = Fixture::new().await;
    let resolver = Resolver::new(&at.dns.settings()).unwrap();
    let settings = Settings {
        port: at.server.address.port(),
        ..Settings::default()
    };
    let sts = Sts::new(resolver, &settings).unwrap();
    let found = sts.policy(&domain("example.org"), &at.cache, START).await;
    let problem = found.unwrap().problem.unwrap();
    assert_eq!(problem.kind.result_type(), "sts-webpki-invalid");
}

#[tokio::test]
async fn a_silent_policy_server_is_given_up() {
    let settings = Settings {
        timeout: Duration::from_millis(300),
        ..Settings::default()
    };
    let at = Fixture::with(settings, "mta-sts.example.org").await;
    at.server.be_silent();
    let (kind, text) = at.problem().await;
    assert_eq!(kind, ProblemKind::Fetch);
    assert!(text.contains("too long"), "{text}");
}

#[tokio::test]
async fn another_address_is_tried() {
    let at = Fixture::new().await;
    // Nothing listens at the first, IPv6 behind IPv4 being the default.
    let addresses = ["127.0.0.2", "127.0.0.1"].map(|a| Data::address(a.parse().unwrap()));
    at.dns.set("mta-sts.example.org", addresses);
    assert_eq!(
        at.seen(Duration::ZERO).await,
        (kept("1", Mode::Enforce), None)
    );
    at.dns.set("mta-sts.example.org", []);
    at.announce("2");
    assert_eq!(at.seen(DAY).await.1, Some(ProblemKind::Fetch));
}

#[tokio::test]
async fn a_file_without_authorities_is_refused() {
    let at = Fixture::new().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let settings = Settings {
        extra_authorities: Some(file.path().to_owned()),
        ..Settings::default()
    };
    let resolver = Resolver::new(&at.dns.settings()).unwrap();
    let error = Sts::new(resolver, &settings).err().unwrap().to_string();
    assert!(error.contains("holds no certificate"), "{error}");
}
