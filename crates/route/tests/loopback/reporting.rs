//! Where domains want reports about TLS, and how these get there.

use std::time::Duration;

use postrider_route::sts::Settings;
use postrider_route::testing::{Data, DnsServer, Fault};
use postrider_route::{Poster, ReportPlace, Resolver};

use crate::domain;
use crate::policy_server::PolicyServer;

#[tokio::test]
async fn the_record_is_found_or_not_there_or_unknown() {
    let server = DnsServer::start().await;
    server.add_zone("example.org", false);
    let resolver = Resolver::new(&server.settings()).unwrap();
    let found = resolver.tls_reporting(&domain("example.org")).await;
    assert_eq!(found, Ok(None));

    let record = "v=TLSRPTv1; rua=https://example.org/r,mailto:tls@example.org";
    server.add("_smtp._tls.example.org", Data::txt(record));
    let found = resolver.tls_reporting(&domain("example.org")).await;
    let places = found.unwrap().unwrap().places;
    assert_eq!(places.len(), 2);
    assert_eq!(
        places[0],
        ReportPlace::Https("https://example.org/r".into())
    );

    server.fail("_smtp._tls.example.org", None, Some(Fault::ServFail));
    let failed = resolver.tls_reporting(&domain("example.org")).await;
    assert!(!failed.unwrap_err().is_permanent());
}

/// A place for reports at reports.example.org with a certificate for `certified`,
/// and a poster that knows its authority and waits for `timeout`.
struct Place {
    server: PolicyServer,
    poster: Poster,
    _dns: DnsServer,
    _authority: tempfile::NamedTempFile,
}

impl Place {
    async fn new(certified: &str, timeout: Duration) -> Self {
        let server = PolicyServer::start(certified).await;
        let dns = DnsServer::start().await;
        dns.add_zone("example.org", false);
        dns.add("reports.example.org", Data::address(server.address.ip()));
        let authority = tempfile::NamedTempFile::new().unwrap();
        server.write_authority(authority.path());
        let settings = Settings {
            extra_authorities: Some(authority.path().to_owned()),
            timeout,
            ..Settings::default()
        };
        let resolver = Resolver::new(&dns.settings()).unwrap();
        Self {
            poster: Poster::new(resolver, &settings).unwrap(),
            server,
            _dns: dns,
            _authority: authority,
        }
    }

    async fn usual() -> Self {
        Self::new("reports.example.org", Duration::from_secs(20)).await
    }

    async fn post(&self) -> Result<(), String> {
        let port = self.server.address.port();
        let url = format!("https://reports.example.org:{port}/v1?a=b");
        let posted = self.poster.post(&url, "packed".into()).await;
        posted.map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn a_report_is_posted() {
    let at = Place::usual().await;
    for answer in ["200 OK", "201 Created", "204 No Content"] {
        at.server.respond(&format!("HTTP/1.1 {answer}\r\n\r\n"));
        assert_eq!(at.post().await, Ok(()), "{answer}");
    }
    assert_eq!(at.server.bodies(), vec![b"packed".to_vec(); 3]);
    let head = &at.server.requests()[0].to_ascii_lowercase();
    let host = format!("host: reports.example.org:{}\r\n", at.server.address.port());
    for part in [
        "post /v1?a=b http/1.1\r\n",
        "content-type: application/tlsrpt+gzip\r\n",
        &host,
    ] {
        assert!(head.contains(part), "{part} in {head}");
    }
}

#[tokio::test]
async fn a_report_that_is_not_taken_is_an_error() {
    let at = Place::usual().await;
    let long = "y".repeat(300 << 10);
    let moved = "HTTP/1.1 307 Moved\r\nLocation: https://reports.example.org/\r\n\r\n";
    for (answer, words) in [
        ("HTTP/1.1 503 Busy\r\n\r\n", "503"),
        ("HTTP/1.1 404 Not Found\r\n\r\n", "404"),
        (moved, "307"),
        ("SSH-2.0\r\n\r\n", "reports.example.org"),
        (
            &format!("HTTP/1.1 200 OK\r\nX: {long}\r\n\r\n"),
            "reports.example.org",
        ),
    ] {
        at.server.respond(answer);
        let error = at.post().await.unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(at.server.connections(), 5);
}

#[tokio::test]
async fn a_silent_place_is_given_up() {
    let at = Place::new("reports.example.org", Duration::from_millis(500)).await;
    at.server.be_silent();
    let error = at.post().await.unwrap_err();
    assert!(error.contains("too long"), "{error}");
}

#[tokio::test]
async fn a_report_goes_to_nobody_else() {
    let at = Place::new("www.example.org", Duration::from_secs(20)).await;
    let error = at.post().await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    assert!(at.server.requests().is_empty());
}
