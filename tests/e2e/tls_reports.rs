//! Reports about outgoing TLS (RFC 8460): what other domains are told by mail and by
//! HTTPS, and the policies (MTA-STS) that it is about.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use flate2::read::GzDecoder;
use postrider_route::testing::{Data, DnsServer};
use postrider_tests::{Act, Authority, HttpsServer, Node, Peer, Stage, Taken};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::outbound::{error_at, last_error, queue_is_empty, send, world_of};

const RECORD: &str = "_smtp._tls.outside.test";
const TODAY: [&str; 4] = ["tls-reports", "send", "--day", "today"];

/// An authority that the node trusts for web servers, and its file.
struct Trusted {
    authority: Authority,
    file: PathBuf,
    _folder: TempDir,
}

impl Trusted {
    fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("authority.pem");
        let authority = Authority::new()?;
        authority.write(&file)?;
        Ok(Self {
            authority,
            file,
            _folder: folder,
        })
    }

    /// A web server that is `host` in `dns`.
    async fn serve(&self, dns: &DnsServer, host: &str) -> anyhow::Result<HttpsServer> {
        let server = HttpsServer::start(self.authority.acceptor(&[host])?).await?;
        dns.add(host, Data::address(server.address().ip()));
        Ok(server)
    }

    /// A node that trusts the authority, with more settings.
    async fn node(
        &self,
        peer: &Peer,
        dns: &DnsServer,
        more: &[(&str, &str)],
    ) -> anyhow::Result<Node> {
        let file = self.file.display().to_string();
        let mut settings = vec![("POSTRIDER__QUEUE__STS__EXTRA_AUTHORITIES", file.as_str())];
        settings.extend_from_slice(more);
        world_of(peer, dns, &settings).await
    }
}

async fn names() -> DnsServer {
    let dns = DnsServer::start().await;
    dns.add_zone("outside.test", false);
    dns
}

/// A peer with STARTTLS whose certificate leads to nobody, and which has enough after
/// one message.
async fn secured() -> anyhow::Result<Peer> {
    let tls = Authority::new()?.acceptor(&["mx.outside.test"])?;
    let once = |stage, visit, _: &str| match (stage, visit) {
        (Stage::Mail, 1..) => Act::Reset,
        _ => Act::Accept,
    };
    Peer::secured(tls, once).await
}

async fn told(node: &Node, arguments: &[&str]) -> anyhow::Result<Value> {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    Ok(serde_json::from_str(&node.cli(&arguments).await?)?)
}

fn unpacked(report: &[u8]) -> anyhow::Result<Value> {
    let mut text = String::new();
    GzDecoder::new(report).read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

/// The report in a mail.
fn attached(mail: &Taken) -> anyhow::Result<Value> {
    let (_, part) = mail
        .content
        .split_once("Content-Type: application/tlsrpt+gzip\r\n")
        .context("no report in the mail")?;
    let (_, coded) = part.split_once("\r\n\r\n").context("no end of the head")?;
    let coded = coded.split("\r\n--").next().unwrap_or_default();
    let coded = coded.replace("\r\n", "");
    unpacked(&base64::engine::general_purpose::STANDARD.decode(coded)?)
}

/// The value of the policy's summary and its failures.
fn results(report: &Value) -> (&Value, &Value) {
    let policy = &report["policies"][0];
    (&policy["summary"], &policy["failure-details"])
}

#[tokio::test]
async fn a_domain_is_told_by_mail_how_secure_connections_were() -> anyhow::Result<()> {
    let secure = secured().await?;
    let bare = SocketAddr::from(([127, 0, 0, 3], secure.address().port()));
    let bare = Peer::listening(bare, "8BITMIME", |_, _, _| Act::Accept).await?;
    let dns = names().await;
    dns.add(RECORD, Data::txt("v=TLSRPTv1; rua=mailto:tls@outside.test"));
    let node = world_of(&secure, &dns, &[]).await?;
    send(&node, &["carl@outside.test"], "secure").await?;
    secure.has_taken(1).await?;
    queue_is_empty(&node).await?;
    dns.set("mx.outside.test", [Data::address(bare.address().ip())]);
    send(&node, &["carl@outside.test"], "bare").await?;
    bare.has_taken(1).await?;

    assert_eq!(told(&node, &["tls-reports", "send"]).await?["sent"], 0);
    let listed = told(&node, &["tls-reports", "list"]).await?;
    let policy = &listed[0]["policies"][0];
    assert_eq!(listed[0]["domain"], "outside.test", "{listed}");
    assert_eq!(
        (&policy["successes"], &policy["failures"]),
        (&json!(1), &json!(1))
    );
    let sent = told(&node, &TODAY).await?;
    assert_eq!((&sent["sent"], &sent["kept"]), (&json!(1), &json!(0)));
    assert_eq!(told(&node, &["tls-reports", "list"]).await?, json!([]));

    let taken = bare.has_taken(2).await?;
    let mail = &taken[1];
    assert!(mail.mail.starts_with("MAIL FROM:<>"), "{mail:?}");
    assert_eq!(mail.recipients.len(), 1, "{mail:?}");
    assert!(mail.recipients[0].starts_with("RCPT TO:<tls@outside.test>"));
    for part in [
        "multipart/report; report-type=\"tlsrpt\"",
        "TLS-Report-Domain: outside.test\r\n",
        "TLS-Report-Submitter: example.test\r\n",
        "From: <postmaster@example.test>\r\n",
        "DKIM-Signature: ",
        "d=example.test;",
        "filename=\"example.test!outside.test!",
    ] {
        assert!(mail.content.contains(part), "{part} in {}", mail.content);
    }
    let report = attached(mail)?;
    let policy = &report["policies"][0]["policy"];
    assert_eq!(policy["policy-type"], "no-policy-found", "{report}");
    assert_eq!(policy["policy-domain"], "outside.test");
    let (summary, details) = results(&report);
    let counts = json!({
        "total-successful-session-count": 1,
        "total-failure-session-count": 1,
    });
    assert_eq!(*summary, counts);
    let failure = json!([{
        "result-type": "starttls-not-supported",
        "sending-mta-ip": "127.0.0.1",
        "receiving-mx-hostname": "mx.outside.test",
        "receiving-ip": "127.0.0.3",
        "failed-session-count": 1,
    }]);
    assert_eq!(*details, failure);
    // The report itself is not reported.
    queue_is_empty(&node).await?;
    assert_eq!(told(&node, &TODAY).await?["sent"], 0);
    node.finish().await
}

#[tokio::test]
async fn a_domain_is_told_by_https_again_until_it_takes_the_report() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let dns = names().await;
    let trusted = Trusted::new()?;
    let place = trusted.serve(&dns, "reports.outside.test").await?;
    let port = place.address().port();
    let record = format!("v=TLSRPTv1; rua=https://reports.outside.test:{port}/v1");
    dns.add(RECORD, Data::txt(&record));
    let node = trusted.node(&peer, &dns, &[]).await?;
    send(&node, &["carl@outside.test"], "one").await?;
    peer.has_taken(1).await?;

    place.answer("503 Busy", "");
    let sent = told(&node, &TODAY).await?;
    assert_eq!((&sent["sent"], &sent["kept"]), (&json!(0), &json!(1)));
    let listed = told(&node, &["tls-reports", "list"]).await?;
    assert_eq!(listed[0]["policies"][0]["failures"], 1, "{listed}");

    place.answer("201 Created", "thanks");
    let sent = told(&node, &TODAY).await?;
    assert_eq!((&sent["sent"], &sent["kept"]), (&json!(1), &json!(0)));
    assert_eq!(told(&node, &["tls-reports", "list"]).await?, json!([]));
    let posted = place.posted();
    assert_eq!(posted.len(), 2);
    let head = &posted[1].head;
    assert!(head.starts_with("post /v1 http/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/tlsrpt+gzip\r\n"),
        "{head}"
    );
    let report = unpacked(&posted[1].body)?;
    let (summary, _) = results(&report);
    assert_eq!(summary["total-failure-session-count"], 1, "{report}");
    // The results have not changed meanwhile.
    assert_eq!(report["report-id"], unpacked(&posted[0].body)?["report-id"]);
    assert_eq!(peer.taken().len(), 1);
    node.finish().await
}

/// What a node needs to the end.
type Kept = (DnsServer, Trusted);

/// A node that finds this policy of `outside.test`, whose host has a certificate that
/// leads to nobody, and the place that is told of it. Who served the policy is gone then.
async fn with_policy(mode: &str) -> anyhow::Result<(Node, Peer, HttpsServer, Kept)> {
    let peer = secured().await?;
    let dns = names().await;
    let trusted = Trusted::new()?;
    let policies = trusted.serve(&dns, "mta-sts.outside.test").await?;
    let policy =
        format!("version: STSv1\r\nmode: {mode}\r\nmx: *.outside.test\r\nmax_age: 86400\r\n");
    policies.answer("200 OK", &policy);
    dns.add("_mta-sts.outside.test", Data::txt("v=STSv1; id=1;"));
    let place = trusted.serve(&dns, "reports.outside.test").await?;
    place.answer("200 OK", "");
    let port = place.address().port();
    let record = format!("v=TLSRPTv1; rua=https://reports.outside.test:{port}/");
    dns.add(RECORD, Data::txt(&record));
    let port = policies.address().port().to_string();
    let settings = [("POSTRIDER__QUEUE__STS__PORT", port.as_str())];
    let node = trusted.node(&peer, &dns, &settings).await?;
    send(&node, &["carl@outside.test"], "by policy").await?;
    match mode {
        "enforce" => {
            let error = last_error(&node).await?;
            anyhow::ensure!(error.contains("TLS"), "{error}");
        }
        _ => drop(peer.has_taken(1).await?),
    }
    Ok((node, peer, place, (dns, trusted)))
}

#[tokio::test]
async fn a_policy_is_enforced_and_its_failures_are_told() -> anyhow::Result<()> {
    let (mut node, peer, place, _kept) = with_policy("enforce").await?;
    assert!(peer.taken().is_empty());
    assert_eq!(told(&node, &TODAY).await?["sent"], 1);
    let report = unpacked(&place.posted()[0].body)?;
    let (summary, details) = results(&report);
    assert_eq!(summary["total-successful-session-count"], 0, "{report}");
    assert_eq!(
        details[0]["result-type"], "certificate-not-trusted",
        "{report}"
    );
    assert!(details[0]["failure-reason-code"].is_string(), "{report}");
    // The policy lies in the metadata: it holds on other nodes and after a start.
    node.kill().await?;
    node.start_again().await?;
    send(&node, &["dora@outside.test"], "by what is kept").await?;
    let error = error_at(&node, "/v1/queue?recipient=dora").await?;
    assert!(error.contains("TLS"), "{error}");
    assert!(peer.taken().is_empty());
    node.finish().await
}

#[tokio::test]
async fn a_policy_under_test_is_told_of_and_hinders_nothing() -> anyhow::Result<()> {
    let (node, _peer, place, _kept) = with_policy("testing").await?;
    queue_is_empty(&node).await?;
    assert_eq!(told(&node, &TODAY).await?["sent"], 1);
    let report = unpacked(&place.posted()[0].body)?;
    let expected = json!({
        "policy-type": "sts",
        "policy-string": [
            "version: STSv1",
            "mode: testing",
            "mx: *.outside.test",
            "max_age: 86400",
        ],
        "policy-domain": "outside.test",
        "mx-host": ["*.outside.test"],
    });
    assert_eq!(report["policies"][0]["policy"], expected, "{report}");
    let (summary, details) = results(&report);
    let counts = json!({
        "total-successful-session-count": 0,
        "total-failure-session-count": 1,
    });
    assert_eq!(*summary, counts);
    assert_eq!(details[0]["result-type"], "certificate-not-trusted");
    node.finish().await
}
