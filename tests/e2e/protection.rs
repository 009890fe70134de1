//! Mail whose sender insists on TLS all the way, or waives it (RFC 8689).

use std::net::SocketAddr;

use postrider_route::Tlsa;
use postrider_route::testing::{Data, DnsServer};
use postrider_tests::{Act, Authority, Node, Peer, Smtp};
use tempfile::TempDir;

use crate::outbound::{
    first_mail, last_error, queue_is_empty, refusing_nobody, send, submission, world, world_of,
};
use crate::{ALICE, PASSWORD};

#[tokio::test]
async fn mail_that_insists_on_tls_comes_back_from_a_server_without() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let (node, _dns) = world(&peer).await?;
    let mut smtp = Smtp::connect(node.addresses().submission).await?;
    smtp.expect(250, "EHLO client.test").await?;
    smtp.login(ALICE, PASSWORD).await?;
    let refused = smtp
        .expect(530, &format!("MAIL FROM:<{ALICE}> REQUIRETLS"))
        .await?;
    assert!(refused.text.starts_with("5.7.0 "), "{refused:?}");

    let mut smtp = Smtp::connect(node.addresses().submission).await?;
    smtp.expect(250, "EHLO client.test").await?;
    let mut smtp = smtp.start_tls(node.authority()).await?;
    let hello = smtp.expect(250, "EHLO client.test").await?;
    assert!(hello.text.contains("REQUIRETLS"), "{hello:?}");
    smtp.login(ALICE, PASSWORD).await?;
    smtp.expect(250, &format!("MAIL FROM:<{ALICE}> REQUIRETLS RET=FULL"))
        .await?;
    smtp.expect(250, "RCPT TO:<carl@outside.test>").await?;
    smtp.expect(354, "DATA").await?;
    // The parameter outweighs the field.
    smtp.wire
        .send("TLS-Required: No\r\nSubject: insists\r\n\r\nHush.\r\n.\r\n")
        .await?;
    assert_eq!(smtp.reply().await?.code, 250);
    // What others send to the same server has nothing to do with it.
    for subject in ["first", "second", "third"] {
        let text = format!("Subject: {subject}\r\n\r\nHello.");
        let reply = smtp.deliver(ALICE, "carl@outside.test", &text).await?;
        assert_eq!(reply.code, 250, "{reply:?}");
    }
    peer.has_taken(3).await?;

    let notice = first_mail(&node, ALICE).await?;
    // It has no TLS, and nobody vouches for its name.
    assert!(notice.contains("Status: 5.7.10"), "{notice}");
    assert!(notice.contains("Subject: insists"), "{notice}");
    assert!(!notice.contains("Hush."), "{notice}");
    queue_is_empty(&node).await?;
    let taken = peer.taken();
    assert_eq!(taken.len(), 3, "{taken:?}");
    assert!(taken.iter().all(|it| !it.content.contains("insists")));
    node.finish().await
}

/// A name server with the signed zone `outside.test`, and a folder with its root key.
async fn signed() -> anyhow::Result<(DnsServer, TempDir)> {
    let dns = DnsServer::start().await;
    dns.add_zone("outside.test", true);
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("root.keys"), dns.trust_anchor())?;
    Ok((dns, folder))
}

/// A node that believes what is signed under that key.
async fn believing(peer: &Peer, dns: &DnsServer, folder: &TempDir) -> anyhow::Result<Node> {
    let anchor = folder.path().join("root.keys").display().to_string();
    let more = [
        ("POSTRIDER__QUEUE__DNS__DNSSEC", "true"),
        ("POSTRIDER__QUEUE__DNS__TRUST_ANCHOR", anchor.as_str()),
    ];
    world_of(peer, dns, &more).await
}

/// The record that vouches for a certificate.
fn vouch(certificate: Vec<u8>) -> Data {
    Data::Tlsa(Tlsa {
        usage: 3,
        selector: 0,
        matching: 0,
        data: certificate,
    })
}

/// Servers with certificates that the zone vouches for: `mx.outside.test` with the first of
/// these extensions, `spare.outside.test` with the others. They know no `nobody@`.
async fn vouched(dns: &DnsServer, extensions: &[&'static str]) -> anyhow::Result<Vec<Peer>> {
    let mut peers: Vec<Peer> = Vec::new();
    for (number, (extensions, host)) in (2..).zip(extensions.iter().zip(["mx", "spare"])) {
        let host = format!("{host}.outside.test");
        let (tls, certificate) = Authority::new()?.certified(&[&host])?;
        let port = peers.first().map_or(0, |peer| peer.address().port());
        let address = SocketAddr::from(([127, 0, 0, number], port));
        peers.push(Peer::securing(address, extensions, tls, refusing_nobody).await?);
        dns.add(&format!("_25._tcp.{host}"), vouch(certificate));
    }
    if let Some(spare) = peers.get(1) {
        let host = "spare.outside.test";
        dns.add("outside.test", Data::mx(20, host));
        dns.add(host, Data::address(spare.address().ip()));
    }
    Ok(peers)
}

const WITH: &str = "PIPELINING\nSTARTTLS\nREQUIRETLS";
const WITHOUT: &str = "PIPELINING\nSTARTTLS";

/// A message that insists on TLS, brought by a client of ours or a stranger.
async fn insist(smtp: Smtp, node: &Node, from: &str, to: &str) -> anyhow::Result<()> {
    let mut smtp = smtp.start_tls(node.authority()).await?;
    smtp.expect(250, "EHLO client.test").await?;
    if from == ALICE {
        smtp.login(ALICE, PASSWORD).await?;
    }
    smtp.expect(250, &format!("MAIL FROM:<{from}> REQUIRETLS"))
        .await?;
    smtp.expect(250, &format!("RCPT TO:<{to}>")).await?;
    let reply = smtp.content("Subject: insists\r\n\r\nHush.").await?;
    anyhow::ensure!(reply.code == 250, "{reply:?}");
    Ok(())
}

async fn greeted(address: SocketAddr) -> anyhow::Result<Smtp> {
    let mut smtp = Smtp::connect(address).await?;
    smtp.expect(250, "EHLO client.test").await?;
    Ok(smtp)
}

#[tokio::test]
async fn mail_that_insists_on_tls_goes_to_the_server_that_offers_it() -> anyhow::Result<()> {
    let (dns, folder) = signed().await?;
    let peers = vouched(&dns, &[WITHOUT, WITH]).await?;
    let node = believing(&peers[0], &dns, &folder).await?;
    let smtp = greeted(node.addresses().submission).await?;
    insist(smtp, &node, ALICE, "carl@outside.test").await?;
    let taken = peers[1].has_taken(1).await?;
    assert!(taken[0].mail.contains(" REQUIRETLS"), "{taken:?}");
    assert!(peers[0].taken().is_empty());
    queue_is_empty(&node).await?;
    // Others go where they always go.
    send(&node, &["carl@outside.test"], "usual").await?;
    let taken = peers[0].has_taken(1).await?;
    assert!(!taken[0].mail.contains("REQUIRETLS"), "{taken:?}");
    node.finish().await
}

#[tokio::test]
async fn a_server_without_requiretls_gets_no_such_mail() -> anyhow::Result<()> {
    let (dns, folder) = signed().await?;
    let peers = vouched(&dns, &[WITHOUT]).await?;
    let node = believing(&peers[0], &dns, &folder).await?;
    let smtp = greeted(node.addresses().submission).await?;
    insist(smtp, &node, ALICE, "carl@outside.test").await?;
    let notice = first_mail(&node, ALICE).await?;
    assert!(notice.contains("Status: 5.7.30"), "{notice}");
    assert!(notice.contains("does not offer REQUIRETLS"), "{notice}");
    assert!(peers[0].taken().is_empty());
    queue_is_empty(&node).await?;
    node.finish().await
}

#[tokio::test]
async fn a_notice_about_mail_that_insists_on_tls_does_the_same_where_it_can() -> anyhow::Result<()>
{
    for (extensions, status) in [(WITH, "5.1.1"), (WITHOUT, "5.7.30")] {
        let (dns, folder) = signed().await?;
        let peers = vouched(&dns, &[extensions]).await?;
        let node = believing(&peers[0], &dns, &folder).await?;
        node.cli(&["alias", "add", "gone@example.test", "nobody@outside.test"])
            .await?;
        let smtp = greeted(node.addresses().smtp).await?;
        insist(smtp, &node, "dora@outside.test", "gone@example.test").await?;
        let taken = peers[0].has_taken(1).await?;
        let (mail, content) = (&taken[0].mail, &taken[0].content);
        assert!(mail.starts_with("MAIL FROM:<>"), "{mail}");
        assert_eq!(mail.contains(" REQUIRETLS"), extensions == WITH, "{mail}");
        assert!(content.contains(&format!("Status: {status}")), "{content}");
        assert!(content.contains("Subject: insists"), "{content}");
        assert!(!content.contains("Hush."), "{content}");
        queue_is_empty(&node).await?;
        node.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_must_be_the_one_that_the_zone_vouches_for() -> anyhow::Result<()> {
    // Nobody trusts who made it; DANE asks nobody.
    let (tls, certificate) = Authority::new()?.certified(&["another.name.test"])?;
    let peer = Peer::secured(tls, |_, _, _| Act::Accept).await?;
    let (dns, folder) = signed().await?;
    let record = "_25._tcp.mx.outside.test";
    dns.add(record, vouch(vec![7; certificate.len()]));
    let node = believing(&peer, &dns, &folder).await?;
    let mut smtp = submission(&node).await?;
    let reply = smtp
        .deliver(ALICE, "carl@outside.test", "Subject: sealed\r\n\r\nHello.")
        .await?;
    assert_eq!(reply.code, 250, "{reply:?}");
    let error = last_error(&node).await?;
    assert!(error.contains("TLS"), "{error}");
    assert!(peer.taken().is_empty());
    // The zone is mended.
    dns.set(record, [vouch(certificate)]);
    let taken = peer.has_taken(1).await?;
    assert!(taken[0].content.contains("Subject: sealed"), "{taken:?}");
    queue_is_empty(&node).await?;
    node.finish().await
}

#[tokio::test]
async fn mail_that_waives_tls_passes_over_what_the_domain_demands() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let (dns, folder) = signed().await?;
    // The domain vouches for a certificate; its server has not even TLS.
    dns.add(
        "_25._tcp.mx.outside.test",
        Data::Tlsa(Tlsa {
            usage: 3,
            selector: 1,
            matching: 1,
            data: vec![7; 32],
        }),
    );
    let node = believing(&peer, &dns, &folder).await?;
    let mut smtp = submission(&node).await?;
    for (field, subject) in [("", "kept"), ("TLS-Required: No\r\n", "waived")] {
        smtp.expect(250, &format!("MAIL FROM:<{ALICE}>")).await?;
        smtp.expect(250, "RCPT TO:<carl@outside.test>").await?;
        smtp.expect(354, "DATA").await?;
        let text = format!("{field}Subject: {subject}\r\n\r\nHello.\r\n.\r\n");
        smtp.wire.send(text).await?;
        assert_eq!(smtp.reply().await?.code, 250);
    }
    let taken = peer.has_taken(1).await?;
    assert!(taken[0].content.contains("Subject: waived"), "{taken:?}");
    let list = node.api("/v1/queue").await?;
    let kept = &list["items"][0];
    assert_eq!(kept["tls_optional"], false, "{list}");
    assert_eq!(peer.taken().len(), 1);
    node.finish().await
}
