//! Tests of the collector.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::*;
use postrider_meta::memory::Memory;
use postrider_meta::{ReadAt, TlsPolicyKind, query};
use postrider_route::testing::{Data, DnsServer, Fault};
use postrider_types::{Clock, Random};

/// A clock that stands, and numbers instead of chance.
#[derive(Default)]
struct Fixed(AtomicU8);

impl Clock for Fixed {
    fn now(&self) -> Millis {
        Millis(0)
    }
}

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::SeqCst));
    }
}

fn failed(host: &str) -> Finding {
    Finding {
        policy: TlsPolicy {
            kind: TlsPolicyKind::Sts,
            strings: Vec::new(),
            hosts: Vec::new(),
        },
        failure: TlsFailure {
            fault: TlsFault::ValidationFailure,
            sending_ip: None,
            host: Some(host.into()),
            receiving_ip: None,
            reason: None,
        },
    }
}

#[test]
fn results_are_counted_by_day_and_failure() {
    let collector = Collector::new(true);
    let domain = DomainName::parse("example.test").unwrap();
    let both = || vec![failed("a.test"), failed("b.test")];
    collector.find(&domain, both(), Millis(0));
    collector.find(&domain, both(), Millis(86_399_999));
    collector.find(&domain, vec![failed("a.test")], Millis(86_400_000));
    let records = records(std::mem::take(&mut *collector.counts.lock()));
    let counts = |record: &TlsRecord| {
        let counts: Vec<u64> = record.failures.iter().map(|(_, count)| *count).collect();
        (record.day, counts)
    };
    let counts: Vec<_> = records.iter().map(counts).collect();
    assert_eq!(counts, [(0, vec![2, 2]), (1, vec![1])]);
}

#[test]
fn what_is_not_known_to_be_wanted_waits() {
    let collector = Collector::new(true);
    let [wants, refuses, silent] =
        ["a.test", "b.test", "c.test"].map(|name| DomainName::parse(name).unwrap());
    for domain in [&wants, &refuses, &silent] {
        collector.find(domain, vec![failed("mx.test")], Millis(0));
    }
    let answers = HashMap::from([(wants.clone(), true), (refuses, false)]);
    let taken = collector.take(|domain| answers.get(domain).copied());
    let taken: Vec<DomainName> = taken.into_keys().map(|result| result.domain).collect();
    assert_eq!(taken, [wants]);
    assert_eq!(collector.domains(), HashSet::from([silent]));
    assert_eq!(collector.take(|_| Some(true)).len(), 1);
    assert!(collector.domains().is_empty());
}

#[test]
fn results_are_bounded() {
    let collector = Collector::new(true);
    let domain = DomainName::parse("example.test").unwrap();
    for number in 0..MOST + 5 {
        let findings = vec![failed(&format!("mx{number}.test"))];
        collector.find(&domain, findings, Millis(0));
    }
    let counts = std::mem::take(&mut *collector.counts.lock());
    assert_eq!(counts.len(), MOST);
    let records = records(counts);
    assert_eq!(records.len(), MOST / limit::TLS_DETAILS);
    let off = Collector::new(false);
    off.find(&domain, vec![failed("a.test")], Millis(0));
    assert!(off.counts.lock().is_empty());
}

/// The domains of which the metadata has results.
async fn stored(meta: &Client) -> Vec<String> {
    let ask = query::TlsResults {
        after: None,
        limit: 20,
        from: 0,
        before: u32::MAX,
    };
    let (page, _) = meta.ask(ask, ReadAt::Latest).await.unwrap();
    let names = page.items.iter().map(|it| it.domain.to_string());
    names.collect()
}

#[tokio::test]
async fn a_zone_that_fails_holds_up_only_its_own_results() {
    let dns = DnsServer::start().await;
    dns.add_zone("test", false);
    let record = Data::txt("v=TLSRPTv1; rua=mailto:tls@a.test");
    dns.add("_smtp._tls.a.test", record);
    dns.fail("_smtp._tls.c.test", None, Some(Fault::ServFail));
    let resolver = Resolver::new(&dns.settings()).unwrap();
    let clock = Arc::new(Fixed::default());
    let meta = Client::new(Memory::new(clock.clone()), clock.clone(), clock);
    let collector = Collector::new(true);
    for name in ["a.test", "b.test", "c.test"] {
        let domain = DomainName::parse(name).unwrap();
        collector.find(&domain, vec![failed("mx.test")], Millis(0));
    }
    collector.flush(&meta, &resolver).await;
    assert_eq!(stored(&meta).await, ["a.test"]);
    collector.flush(&meta, &resolver).await;
    assert_eq!(stored(&meta).await, ["a.test", "c.test"]);
    assert!(collector.domains().is_empty());
}
