//! Which hosts a domain's records lead to, without DNSSEC.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use postrider_route::testing::{Data, DnsServer, Fault, Type};
use postrider_route::{Dane, Family, Ourselves, Resolver, Settings};

use crate::{addresses, domain, names, route, route_from, status};

/// A server with the zone example.org, and a resolver that asks it.
async fn example() -> (DnsServer, Resolver) {
    let server = DnsServer::start().await;
    server.add_zone("example.org", false);
    let resolver = Resolver::new(&server.settings()).unwrap();
    (server, resolver)
}

fn address(text: &str) -> Data {
    Data::address(text.parse().unwrap())
}

/// Adds a host at 192.0.2.`last` and the domain's MX record for it.
fn add_mx(server: &DnsServer, preference: u16, host: &str, last: u8) {
    server.add("example.org", Data::mx(preference, host));
    server.add(host, address(&format!("192.0.2.{last}")));
}

#[tokio::test]
async fn hosts_come_by_preference() {
    let (server, resolver) = example().await;
    add_mx(&server, 20, "b.example.org", 2);
    add_mx(&server, 10, "A.example.org", 1);
    add_mx(&server, 30, "c.example.org", 3);
    let found = route(&resolver, "example.org").await.unwrap();
    assert_eq!(
        names(&found),
        ["a.example.org", "b.example.org", "c.example.org"]
    );
    assert_eq!(found.hosts[1].preference, 20);
    assert_eq!(addresses(&found.hosts[1]), ["192.0.2.2"]);
    assert_eq!(found.hosts[1].dane, Dane::None);
    assert!(!found.secure);
}

#[tokio::test]
async fn equals_are_shuffled() {
    let (server, resolver) = example().await;
    for i in 0..8 {
        add_mx(&server, 10, &format!("mx{i}.example.org"), i);
    }
    add_mx(&server, 20, "last.example.org", 20);
    let mut first = HashSet::new();
    for _ in 0..25 {
        let found = route(&resolver, "example.org").await.unwrap();
        assert_eq!(found.hosts.len(), 9);
        assert_eq!(found.hosts[8].name, "last.example.org");
        first.insert(found.hosts[0].name.clone());
    }
    assert!(first.len() > 1, "always {first:?} first");
}

#[tokio::test]
async fn of_many_hosts_the_best_twenty_are_taken() {
    let (server, resolver) = example().await;
    for i in 0..60u8 {
        let host = format!("a-rather-long-name-of-a-host-{i}.example.org");
        add_mx(&server, u16::from(100 - i), &host, i);
    }
    let found = route(&resolver, "example.org").await.unwrap();
    let preferences: Vec<u16> = found.hosts.iter().map(|h| h.preference).collect();
    assert_eq!(preferences, (41..=60).collect::<Vec<u16>>());
}

#[tokio::test]
async fn without_mx_the_domain_is_the_host() {
    let (server, resolver) = example().await;
    server.add("example.org", address("192.0.2.1"));
    let found = route(&resolver, "example.org").await.unwrap();
    assert_eq!(names(&found), ["example.org"]);
    assert_eq!(addresses(&found.hosts[0]), ["192.0.2.1"]);
}

#[tokio::test]
async fn a_null_mx_takes_no_mail() {
    let (server, resolver) = example().await;
    server.add("example.org", address("192.0.2.1"));
    server.add("example.org", Data::mx(0, "."));
    assert_eq!(status(route(&resolver, "example.org").await), "5.1.10");
    // Beside others it means nothing.
    add_mx(&server, 10, "mx.example.org", 2);
    let found = route(&resolver, "example.org").await.unwrap();
    assert_eq!(names(&found), ["mx.example.org"]);
}

#[tokio::test]
async fn what_does_not_exist_is_permanent() {
    let (server, resolver) = example().await;
    assert_eq!(status(route(&resolver, "x.example.org").await), "5.1.2");
    assert_eq!(status(route(&resolver, "nowhere").await), "5.1.2");
    server.add("text.example.org", Data::txt("nothing else"));
    assert_eq!(status(route(&resolver, "text.example.org").await), "5.1.2");
    server.add("example.org", Data::mx(10, "gone.example.org"));
    server.add("example.org", Data::mx(10, "text.example.org"));
    assert_eq!(status(route(&resolver, "example.org").await), "5.4.4");
}

#[tokio::test]
async fn a_failing_name_server_is_temporary() {
    let (server, resolver) = example().await;
    add_mx(&server, 10, "mx.example.org", 1);
    for fault in [Fault::ServFail, Fault::Refused, Fault::Silent] {
        server.fail("example.org", Some(Type::MX), Some(fault));
        let error = route(&resolver, "example.org").await.unwrap_err();
        assert_eq!(error.status().to_string(), "4.4.3", "{fault:?}: {error}");
        assert!(!error.is_permanent());
    }
    server.fail("example.org", Some(Type::MX), None);
    assert!(route(&resolver, "example.org").await.is_ok());
}

#[tokio::test]
async fn a_lookup_has_a_deadline() {
    let (server, _) = example().await;
    let settings = Settings {
        timeout: Duration::from_secs(60),
        deadline: Duration::from_millis(100),
        ..server.settings()
    };
    let resolver = Resolver::new(&settings).unwrap();
    server.fail("example.org", None, Some(Fault::Silent));
    let begin = Instant::now();
    assert_eq!(status(route(&resolver, "example.org").await), "4.4.3");
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn one_host_without_answer_does_not_stop_the_others() {
    let (server, resolver) = example().await;
    add_mx(&server, 10, "a.example.org", 1);
    add_mx(&server, 20, "b.example.org", 2);
    server.fail("a.example.org", None, Some(Fault::ServFail));
    let found = route(&resolver, "example.org").await.unwrap();
    assert_eq!(names(&found), ["b.example.org"]);
    server.fail("b.example.org", None, Some(Fault::Silent));
    assert_eq!(status(route(&resolver, "example.org").await), "4.4.3");
    // What exists nowhere and what nobody knows: the latter may come back.
    server.set("a.example.org", []);
    server.fail("a.example.org", None, None);
    assert_eq!(status(route(&resolver, "example.org").await), "4.4.3");
}

#[tokio::test]
async fn one_family_without_answer_does_not_stop_the_other() {
    let (server, resolver) = example().await;
    add_mx(&server, 10, "mx.example.org", 1);
    server.fail("mx.example.org", Some(Type::AAAA), Some(Fault::ServFail));
    let found = route(&resolver, "example.org").await.unwrap();
    assert_eq!(addresses(&found.hosts[0]), ["192.0.2.1"]);
}

#[tokio::test]
async fn aliases_are_followed() {
    let (server, resolver) = example().await;
    server.add_zone("example.net", false);
    server.add("alias.example.org", Data::Cname("example.net".into()));
    server.add("example.net", Data::mx(10, "mx.example.net"));
    server.add("mx.example.net", Data::Cname("real.example.org".into()));
    server.add("real.example.org", address("192.0.2.7"));
    let found = route(&resolver, "alias.example.org").await.unwrap();
    assert_eq!(names(&found), ["mx.example.net"]);
    assert_eq!(addresses(&found.hosts[0]), ["192.0.2.7"]);
}

#[tokio::test]
async fn aliases_in_a_circle_are_temporary() {
    let (server, resolver) = example().await;
    server.add("a.example.org", Data::Cname("b.example.org".into()));
    server.add("b.example.org", Data::Cname("c.example.org".into()));
    server.add("c.example.org", Data::Cname("b.example.org".into()));
    assert_eq!(status(route(&resolver, "a.example.org").await), "4.4.3");
    server.add("self.example.org", Data::Cname("self.example.org".into()));
    assert_eq!(status(route(&resolver, "self.example.org").await), "4.4.3");
    // One that merely leads nowhere is not.
    server.add("d.example.org", Data::Cname("text.example.org".into()));
    server.add("text.example.org", Data::txt("x"));
    assert_eq!(status(route(&resolver, "d.example.org").await), "5.1.2");
}

#[tokio::test]
async fn the_list_ends_before_this_server() {
    let (server, resolver) = example().await;
    add_mx(&server, 10, "a.example.org", 1);
    add_mx(&server, 20, "us.example.org", 2);
    add_mx(&server, 20, "c.example.org", 3);
    add_mx(&server, 30, "d.example.org", 4);
    let by_name = Ourselves {
        names: [domain("us.example.org")].into(),
        ..Ourselves::default()
    };
    let by_address = Ourselves {
        addresses: ["192.0.2.2".parse().unwrap()].into(),
        ..Ourselves::default()
    };
    for us in [&by_name, &by_address] {
        let found = route_from(&resolver, "example.org", us).await.unwrap();
        assert_eq!(names(&found), ["a.example.org"]);
    }
    server.set(
        "example.org",
        [
            Data::mx(10, "us.example.org"),
            Data::mx(20, "a.example.org"),
        ],
    );
    for us in [&by_name, &by_address] {
        let refusal = route_from(&resolver, "example.org", us).await;
        assert_eq!(status(refusal), "5.4.6");
    }
}

#[tokio::test]
async fn a_domain_at_this_server_loops() {
    let (server, resolver) = example().await;
    server.add("example.org", address("127.0.0.1"));
    let mut us = Ourselves::default();
    assert!(route_from(&resolver, "example.org", &us).await.is_ok());
    us.loopback = true;
    let refusal = route_from(&resolver, "example.org", &us).await;
    assert_eq!(status(refusal), "5.4.6");
    server.set("example.org", [Data::mx(10, "localhost")]);
    us.loopback = false;
    let refusal = route_from(&resolver, "example.org", &us).await;
    assert_eq!(status(refusal), "5.4.6");
}

#[tokio::test]
async fn literals_lead_to_their_address() {
    let (_server, resolver) = example().await;
    let found = route(&resolver, "[IPv6:2001:db8::1]").await.unwrap();
    assert_eq!(names(&found), ["[IPv6:2001:db8::1]"]);
    assert_eq!(addresses(&found.hosts[0]), ["2001:db8::1"]);
    let us = Ourselves {
        addresses: ["192.0.2.1".parse::<IpAddr>().unwrap()].into(),
        ..Ourselves::default()
    };
    let refusal = route_from(&resolver, "[192.0.2.1]", &us).await;
    assert_eq!(status(refusal), "5.4.6");
}

#[tokio::test]
async fn both_families_are_tried_in_turn() {
    let (server, _) = example().await;
    server.add("example.org", Data::mx(10, "mx.example.org"));
    for text in [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
        "2001:db8::1",
        "255.255.255.255",
    ] {
        server.add("mx.example.org", address(text));
    }
    let expected: [(Family, &[bool]); 4] = [
        (Family::Ipv4First, &[true, false, true, true]),
        (Family::Ipv6First, &[false, true, true, true]),
        (Family::Ipv4Only, &[true, true, true]),
        (Family::Ipv6Only, &[false]),
    ];
    for (family, v4) in expected {
        let settings = Settings {
            family,
            ..server.settings()
        };
        let resolver = Resolver::new(&settings).unwrap();
        let found = route(&resolver, "example.org").await.unwrap();
        let families: Vec<bool> = found.hosts[0]
            .addresses
            .iter()
            .map(IpAddr::is_ipv4)
            .collect();
        assert_eq!(families, v4, "{family:?}");
    }
}

#[tokio::test]
async fn a_host_with_ipv6_alone_is_reached() {
    let (server, resolver) = example().await;
    server.add("example.org", Data::mx(10, "mx.example.org"));
    server.add("mx.example.org", address("2001:db8::25"));
    let found = route(&resolver, "example.org").await.unwrap();
    assert_eq!(addresses(&found.hosts[0]), ["2001:db8::25"]);
}

#[tokio::test]
async fn a_smarthost_is_found_without_mx() {
    let (server, resolver) = example().await;
    add_mx(&server, 10, "mx.example.org", 1);
    server.add("smart.example.org", address("192.0.2.9"));
    let host = resolver
        .host(&domain("smart.example.org"), 587)
        .await
        .unwrap();
    assert_eq!(addresses(&host), ["192.0.2.9"]);
    assert_eq!(server.asked("smart.example.org", Type::MX), 0);
    let local = resolver.host(&domain("localhost"), 587).await.unwrap();
    assert_eq!(addresses(&local), ["127.0.0.1", "::1"]);
    let gone = resolver.host(&domain("gone.example.org"), 587).await;
    assert!(gone.unwrap_err().is_permanent());
}
