//! What DNSSEC vouches for, and what TLSA records then demand.

use postrider_route::testing::{Data, DnsServer, Fault, Type};
use postrider_route::{Dane, Resolver, Settings, Tlsa};

use crate::{domain, names, route, status, validating};

/// A server with the signed zone good.example and the unsigned zone
/// plain.example; each has a domain, a host and its TLSA record.
struct Fixture {
    server: DnsServer,
    resolver: Resolver,
    _anchor: tempfile::NamedTempFile,
}

impl Fixture {
    async fn new() -> Self {
        let server = DnsServer::start().await;
        for (zone, signed) in [("good.example", true), ("plain.example", false)] {
            server.add_zone(zone, signed);
            let host = format!("mx.{zone}");
            server.add(zone, Data::mx(10, &host));
            server.add(&host, address("192.0.2.1"));
            server.add(&format!("_25._tcp.{host}"), Data::Tlsa(tlsa(3)));
        }
        let (settings, anchor) = validating(&server);
        Self {
            resolver: Resolver::new(&settings).unwrap(),
            server,
            _anchor: anchor,
        }
    }

    /// What DANE says about the only host of `domain`.
    async fn dane(&self, domain: &str) -> Dane {
        let mut found = route(&self.resolver, domain).await.unwrap();
        assert_eq!(found.hosts.len(), 1, "{found:?}");
        found.hosts.remove(0).dane
    }
}

fn tlsa(usage: u8) -> Tlsa {
    Tlsa {
        usage,
        selector: 1,
        matching: 1,
        data: vec![7; 32],
    }
}

fn address(text: &str) -> Data {
    Data::address(text.parse().unwrap())
}

/// The demand of one record of usage 3 with these names.
fn demand(names: &[&str]) -> Dane {
    Dane::Records {
        records: vec![tlsa(3)],
        names: names.iter().map(|n| (*n).to_owned()).collect(),
    }
}

#[tokio::test]
async fn a_signed_domain_has_its_records() {
    let at = Fixture::new().await;
    let found = route(&at.resolver, "good.example").await.unwrap();
    assert!(found.secure);
    assert_eq!(
        found.hosts[0].dane,
        demand(&["mx.good.example", "good.example"])
    );
}

#[tokio::test]
async fn without_validation_there_is_no_dane() {
    let at = Fixture::new().await;
    let resolver = Resolver::new(&at.server.settings()).unwrap();
    let found = route(&resolver, "good.example").await.unwrap();
    assert!(!found.secure);
    assert_eq!(found.hosts[0].dane, Dane::None);
    assert_eq!(at.server.asked("_25._tcp.mx.good.example", Type::TLSA), 0);
}

#[tokio::test]
async fn an_unsigned_zone_has_no_dane() {
    let at = Fixture::new().await;
    let found = route(&at.resolver, "plain.example").await.unwrap();
    assert!(!found.secure);
    assert_eq!(found.hosts[0].dane, Dane::None);
    // Its servers may not even know the type.
    assert_eq!(at.server.asked("_25._tcp.mx.plain.example", Type::TLSA), 0);
}

#[tokio::test]
async fn unsigned_mx_records_lead_to_no_dane() {
    let at = Fixture::new().await;
    at.server
        .set("plain.example", [Data::mx(10, "mx.good.example")]);
    assert_eq!(at.dane("plain.example").await, Dane::None);
}

#[tokio::test]
async fn an_unsigned_host_has_no_dane() {
    let at = Fixture::new().await;
    at.server
        .set("good.example", [Data::mx(10, "mx.plain.example")]);
    let found = route(&at.resolver, "good.example").await.unwrap();
    assert!(found.secure);
    assert_eq!(found.hosts[0].dane, Dane::None);
}

#[tokio::test]
async fn a_signed_denial_means_no_dane() {
    let at = Fixture::new().await;
    at.server.set("_25._tcp.mx.good.example", []);
    assert_eq!(at.dane("good.example").await, Dane::None);
    // The name exists, and has other records.
    at.server.set("_25._tcp.mx.good.example", [Data::txt("x")]);
    assert_eq!(at.dane("good.example").await, Dane::None);
}

#[tokio::test]
async fn a_failed_lookup_is_never_no_dane() {
    let at = Fixture::new().await;
    let name = "_25._tcp.mx.good.example";
    for records in [vec![Data::Tlsa(tlsa(3))], vec![]] {
        at.server.set(name, records);
        for fault in [
            Fault::ServFail,
            Fault::Refused,
            Fault::Silent,
            Fault::Unsigned,
        ] {
            at.server.fail(name, None, Some(fault));
            let dane = at.dane("good.example").await;
            assert!(matches!(dane, Dane::Failed(_)), "{fault:?}: {dane:?}");
        }
        at.server.fail(name, None, None);
    }
}

#[tokio::test]
async fn another_zone_denies_nothing() {
    let at = Fixture::new().await;
    let forge = |name, kind| at.server.fail(name, Some(kind), Some(Fault::Forged));
    forge("_25._tcp.mx.good.example", Type::TLSA);
    let dane = at.dane("good.example").await;
    assert!(matches!(dane, Dane::Failed(_)), "{dane:?}");
    // Without its MX record the mail would go to the domain's own address.
    at.server.add("good.example", address("192.0.2.1"));
    forge("good.example", Type::MX);
    assert_eq!(status(route(&at.resolver, "good.example").await), "4.4.3");
}

#[tokio::test]
async fn what_lost_its_signatures_is_temporary() {
    let at = Fixture::new().await;
    at.server
        .fail("good.example", Some(Type::MX), Some(Fault::Unsigned));
    assert_eq!(status(route(&at.resolver, "good.example").await), "4.4.3");
    // Its denial as well: the mail would go to the domain's own address.
    at.server.set("good.example", [address("192.0.2.1")]);
    assert_eq!(status(route(&at.resolver, "good.example").await), "4.4.3");
    at.server.fail("good.example", None, None);

    at.server
        .set("good.example", [Data::mx(10, "mx.good.example")]);
    at.server
        .fail("mx.good.example", None, Some(Fault::Unsigned));
    assert_eq!(status(route(&at.resolver, "good.example").await), "4.4.3");
    at.server
        .fail("gone.good.example", None, Some(Fault::Unsigned));
    assert_eq!(
        status(route(&at.resolver, "gone.good.example").await),
        "4.4.3"
    );
}

#[tokio::test]
async fn names_that_do_not_exist_are_permanent_when_their_zone_says_so() {
    let at = Fixture::new().await;
    for gone in ["gone.good.example", "gone.plain.example", "gone"] {
        assert_eq!(status(route(&at.resolver, gone).await), "5.1.2", "{gone}");
    }
}

#[tokio::test]
async fn a_domain_without_mx_has_its_own_records() {
    let at = Fixture::new().await;
    at.server.set("good.example", [address("192.0.2.1")]);
    assert_eq!(at.dane("good.example").await, Dane::None);
    at.server.add("_25._tcp.good.example", Data::Tlsa(tlsa(3)));
    let found = route(&at.resolver, "good.example").await.unwrap();
    assert!(found.secure);
    assert_eq!(found.hosts[0].dane, demand(&["good.example"]));
}

#[tokio::test]
async fn an_alias_has_the_records_of_its_end_or_its_own() {
    let at = Fixture::new().await;
    at.server.add_zone("other.example", true);
    at.server.add("real.other.example", address("192.0.2.2"));
    let alias = Data::Cname("real.other.example".into());
    at.server.set("mx.good.example", [alias]);
    assert_eq!(
        at.dane("good.example").await,
        demand(&["mx.good.example", "good.example"])
    );

    let record = Data::Tlsa(tlsa(3));
    at.server.add("_25._tcp.real.other.example", record);
    assert_eq!(
        at.dane("good.example").await,
        demand(&["real.other.example", "good.example"])
    );
}

#[tokio::test]
async fn an_alias_that_leaves_the_signed_zones_has_its_own_records() {
    let at = Fixture::new().await;
    let alias = Data::Cname("mx.plain.example".into());
    at.server.set("mx.good.example", [alias]);
    assert_eq!(
        at.dane("good.example").await,
        demand(&["mx.good.example", "good.example"])
    );
    let found = route(&at.resolver, "good.example").await.unwrap();
    assert_eq!(names(&found), ["mx.good.example"]);
}

#[tokio::test]
async fn an_alias_of_the_domain_is_a_name_too() {
    let at = Fixture::new().await;
    let alias = Data::Cname("good.example".into());
    at.server.add("alias.good.example", alias.clone());
    let names = ["mx.good.example", "alias.good.example", "good.example"];
    assert_eq!(at.dane("alias.good.example").await, demand(&names));
    at.server.add("alias.plain.example", alias);
    assert_eq!(at.dane("alias.plain.example").await, Dane::None);
}

#[tokio::test]
async fn a_kept_answer_does_not_vouch_for_an_alias() {
    let at = Fixture::new().await;
    at.server.set_ttl("good.example", 600);
    assert!(route(&at.resolver, "good.example").await.unwrap().secure);
    // The MX records are kept now, and the unsigned alias leads to them.
    let alias = Data::Cname("good.example".into());
    at.server.add("alias.plain.example", alias);
    let found = route(&at.resolver, "alias.plain.example").await.unwrap();
    assert!(!found.secure);
    assert_eq!(found.hosts[0].dane, Dane::None);
    assert_eq!(at.server.asked("good.example", Type::MX), 1);
}

#[tokio::test]
async fn records_that_cannot_be_used_demand_tls_all_the_same() {
    let at = Fixture::new().await;
    let name = "_25._tcp.mx.good.example";
    at.server.set(name, [Data::Tlsa(tlsa(1))]);
    assert_eq!(at.dane("good.example").await, Dane::Unusable);
    at.server.add(name, Data::Tlsa(tlsa(3)));
    assert_eq!(
        at.dane("good.example").await,
        demand(&["mx.good.example", "good.example"])
    );
}

#[tokio::test]
async fn a_smarthost_has_the_records_of_its_port() {
    let at = Fixture::new().await;
    let host = domain("mx.good.example");
    assert_eq!(at.resolver.host(&host, 465).await.unwrap().dane, Dane::None);
    at.server
        .add("_465._tcp.mx.good.example", Data::Tlsa(tlsa(3)));
    let found = at.resolver.host(&host, 465).await.unwrap();
    assert_eq!(found.dane, demand(&["mx.good.example"]));
}

#[tokio::test]
async fn a_foreign_root_is_not_trusted() {
    let at = Fixture::new().await;
    let settings = Settings {
        dnssec: true,
        ..at.server.settings()
    };
    let resolver = Resolver::new(&settings).unwrap();
    for domain in ["good.example", "plain.example"] {
        assert_eq!(status(route(&resolver, domain).await), "4.4.3", "{domain}");
    }
}

#[tokio::test]
async fn a_broken_trust_anchor_is_refused() {
    let at = Fixture::new().await;
    let (settings, anchor) = validating(&at.server);
    std::fs::write(anchor.path(), "no key").unwrap();
    let error = Resolver::new(&settings).err().unwrap().to_string();
    assert!(error.contains(&*anchor.path().to_string_lossy()), "{error}");
}
