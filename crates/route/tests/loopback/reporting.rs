//! Where domains want reports about TLS.

use postrider_route::testing::{Data, DnsServer, Fault};
use postrider_route::{ReportPlace, Resolver};

use crate::domain;

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
