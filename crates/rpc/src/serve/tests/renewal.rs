//! A certificate that is exchanged while its node runs.

use std::time::Instant;

use super::*;

const SHORT: Duration = Duration::from_secs(5);

/// A certificate of `node` that ends soon.
fn short(authority: &Authority, node: u64) -> Identity {
    let request = KeyRequest::new().unwrap();
    let certificate = authority.issue_for(&request.signing_request, node, &[], SHORT);
    Identity {
        ca: authority.certificate().to_owned(),
        certificate: certificate.unwrap(),
        key: request.key,
    }
}

/// Waits until connections with a short certificate are refused.
async fn until_refused(tls: &Tls, address: &str) {
    let deadline = Instant::now() + 10 * SHORT;
    while report(tls.clone(), address).await.is_ok() {
        assert!(Instant::now() < deadline, "it never ends");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_caller_shows_its_new_certificate_from_the_next_connection_on() {
    let authority = Authority::new(&cluster("1")).unwrap();
    let server = node_one(&authority).await;
    let tls = Tls::mutual(&short(&authority, 2)).unwrap();
    let channels = Channels::new(tls.clone(), Timeouts::default());
    let channel = channels.get(&server.address).unwrap();
    let mut kept = NodesClient::new(channel);
    kept.report(ReportRequest {}).await.unwrap();
    until_refused(&tls, &server.address).await;
    // A connection that was made before goes on.
    kept.report(ReportRequest {}).await.unwrap();

    let new = identity(&authority, 2);
    tls.renew(&new.certificate, &new.key).unwrap();
    let told = report(tls, &server.address).await;
    assert_eq!(told.unwrap(), "Some(Caller(2))");
    // So does one of the channels that others of this node hold.
    let again = channels.apart().get(&server.address).unwrap();
    NodesClient::new(again)
        .report(ReportRequest {})
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_shows_its_new_certificate_from_the_next_connection_on() {
    let authority = Authority::new(&cluster("2")).unwrap();
    let own = Tls::mutual(&short(&authority, 1)).unwrap();
    let server = start(&own, doorman(&authority)).await;
    let caller = mutual(&authority, 2);
    until_refused(&caller, &server.address).await;
    let new = identity(&authority, 1);
    own.renew(&new.certificate, &new.key).unwrap();
    report(caller, &server.address).await.unwrap();
}

#[test]
fn a_new_certificate_that_is_not_usable_leaves_the_old_one() {
    let authority = Authority::new(&cluster("3")).unwrap();
    let tls = mutual(&authority, 1);
    let (one, other) = (identity(&authority, 1), identity(&authority, 1));
    assert!(tls.renew(&one.certificate, &other.key).is_err());
    assert!(tls.renew("", &one.key).is_err());
    assert!(tls.renew(&one.certificate, &one.key).is_ok());
}
