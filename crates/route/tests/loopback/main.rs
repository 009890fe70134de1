//! Routes, DANE and MTA-STS against a name server and a policy server on
//! loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod dane;
mod policy_server;
mod reporting;
mod routes;
mod sts;

use postrider_route::testing::DnsServer;
use postrider_route::{Destination, Error, Host, Ourselves, Resolver, Route, Settings};
use postrider_types::DomainName;

/// Settings under which answers are validated from the server's root key on. The
/// file lives as long as the second value.
fn validating(server: &DnsServer) -> (Settings, tempfile::NamedTempFile) {
    let anchor = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(anchor.path(), server.trust_anchor()).unwrap();
    let settings = Settings {
        dnssec: true,
        trust_anchor: Some(anchor.path().to_owned()),
        ..server.settings()
    };
    (settings, anchor)
}

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

async fn route(resolver: &Resolver, to: &str) -> Result<Route, Error> {
    route_from(resolver, to, &Ourselves::default()).await
}

async fn route_from(resolver: &Resolver, to: &str, us: &Ourselves) -> Result<Route, Error> {
    let destination: Destination = to.parse().unwrap();
    resolver.route(&destination, us).await
}

fn names(route: &Route) -> Vec<&str> {
    route.hosts.iter().map(|h| h.name.as_str()).collect()
}

fn addresses(host: &Host) -> Vec<String> {
    host.addresses.iter().map(ToString::to_string).collect()
}

/// The status of a refusal, as `5.1.2`.
fn status(refusal: Result<Route, Error>) -> String {
    refusal.unwrap_err().status().to_string()
}
