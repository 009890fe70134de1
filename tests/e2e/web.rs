//! The public web pages: members leave a list by its links, and other servers fetch
//! the MTA-STS policy.

use std::time::{Duration, Instant};

use postrider_meta::{ReadAt, query};
use postrider_proto::smtp::UnsubscribeKey;
use postrider_tests::{Node, Wire};

use crate::outbound::first_mail;
use crate::{ALICE, BOB};

const LIST: &str = "news@example.test";
const FORM: &str = "application/x-www-form-urlencoded";
const CLICK: &str = "List-Unsubscribe=One-Click";
/// The place of the web listener among those of a node under test.
const WEB: &str = "POSTRIDER__LISTENER__9__PROTOCOL";

/// What a web server answered.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

async fn start_with(environment: &[(&str, &str)]) -> anyhow::Result<Node> {
    let mut all = vec![("POSTRIDER__SMTP__HOSTNAME", "mail.example.test")];
    all.extend_from_slice(environment);
    Node::start_with(env!("CARGO_BIN_EXE_postrider-under-test"), &all).await
}

async fn connect(node: &Node) -> anyhow::Result<Wire> {
    let wire = Wire::connect(node.addresses().web).await?;
    wire.start_tls(node.authority()).await
}

/// Sends `request` and reads up to the end of the connection.
async fn ask(node: &Node, request: &str) -> anyhow::Result<Answer> {
    let mut wire = connect(node).await?;
    wire.send(request).await?;
    answer(wire).await
}

async fn answer(mut wire: Wire) -> anyhow::Result<Answer> {
    let text = String::from_utf8(wire.to_end().await?)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    let status = status.parse().map_err(|_| anyhow::anyhow!("{text:?}"))?;
    Ok(Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.into(),
    })
}

async fn get(node: &Node, host: &str, path: &str) -> anyhow::Result<Answer> {
    ask(
        node,
        &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    )
    .await
}

async fn post(node: &Node, path: &str, kind: &str, body: &str) -> anyhow::Result<Answer> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: mail.example.test\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    ask(node, &(head + body)).await
}

/// The members of the list.
async fn members(node: &Node) -> anyhow::Result<Vec<String>> {
    let groups = node.api("/v1/groups").await?;
    let members = groups["items"][0]["members"].as_array().cloned();
    let members = members.unwrap_or_default();
    let text = |member: &serde_json::Value| member.as_str().unwrap_or_default().to_owned();
    Ok(members.iter().map(text).collect())
}

/// The key of the cluster's links, out of the node's own metadata.
async fn key(node: &mut Node) -> anyhow::Result<UnsubscribeKey> {
    node.stop().await?;
    let file = node.dir().join("postrider.toml");
    let settings = postrider_node::settings::load(&file, std::iter::empty())?;
    let within = postrider_node::Node::start(settings).await?;
    let (secret, _) = within.meta().ask(query::Secret {}, ReadAt::Latest).await?;
    within.shutdown().await?;
    node.start_again().await?;
    let secret = secret.ok_or_else(|| anyhow::anyhow!("no secret"))?;
    Ok(UnsubscribeKey::new(secret.as_ref().try_into()?))
}

/// A node with a list of Alice, Bob and Carl, and the path of Alice's link.
async fn with_list() -> anyhow::Result<(Node, String)> {
    let mut node = start_with(&[]).await?;
    let carl = "carl@outside.test";
    node.cli(&[
        "group",
        "add",
        LIST,
        ALICE,
        BOB,
        carl,
        "--list",
        "--unsubscribe",
    ])
    .await?;
    let token = key(&mut node).await?.token(LIST, ALICE);
    Ok((node, format!("/unsubscribe/{token}")))
}

#[tokio::test]
async fn a_link_asks_first_and_one_click_leaves() -> anyhow::Result<()> {
    let (node, path) = with_list().await?;
    let all = members(&node).await?;
    assert_eq!(all.len(), 3);

    // RFC 8058 §3.1: nothing happens by following the link.
    let asked = get(&node, "mail.example.test", &path).await?;
    assert_eq!(asked.status, 200, "{asked:?}");
    for part in [LIST, ALICE, "<form method=\"post\">", "<button>"] {
        assert!(asked.body.contains(part), "{part} in {}", asked.body);
    }
    for part in [
        "content-type: text/html",
        "content-security-policy: default-src 'none'; style-src 'sha256-",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
    ] {
        assert!(asked.head.contains(part), "{part} in {}", asked.head);
    }
    let head = format!("HEAD {path} HTTP/1.1\r\nHost: mail.example.test\r\n\r\n");
    let head = ask(&node, &head).await?;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let empty = post(&node, &path, FORM, "").await?;
    assert_eq!(empty.status, 400, "{empty:?}");
    assert_eq!(members(&node).await?, all);

    let left = post(&node, &path, FORM, CLICK).await?;
    assert_eq!(left.status, 200, "{left:?}");
    assert!(left.body.contains("You have left"), "{}", left.body);
    let others: Vec<_> = all.into_iter().filter(|it| it != ALICE).collect();
    assert_eq!(members(&node).await?, others);
    // Once more, as providers do that got no answer.
    let again = post(&node, &path, FORM, CLICK).await?;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.body, left.body);
    assert_eq!(node.log().matches("a member has left a list").count(), 1);
    node.finish().await
}

#[tokio::test]
async fn only_the_links_of_a_list_that_lets_go_are_good() -> anyhow::Result<()> {
    let (node, path) = with_list().await?;
    let all = members(&node).await?;
    let mut tampered = path.clone();
    let last = tampered.pop();
    tampered.push(if last == Some('A') { 'B' } else { 'A' });
    let cut = &path[..path.len() - 4];
    for bad in [tampered.as_str(), cut, "/unsubscribe/x", "/unsubscribe/"] {
        assert_eq!(get(&node, "mail.example.test", bad).await?.status, 404);
        assert_eq!(post(&node, bad, FORM, CLICK).await?.status, 404, "{bad}");
    }
    node.cli(&["group", "set", LIST, "--unsubscribe", "false"])
        .await?;
    let closed = post(&node, &path, FORM, CLICK).await?;
    assert_eq!(closed.status, 403, "{closed:?}");
    assert_eq!(members(&node).await?, all);

    node.cli(&["group", "set", LIST, "--unsubscribe", "true"])
        .await?;
    let parts = "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\n\
                 One-Click\r\n--b--\r\n";
    let left = post(&node, &path, "multipart/form-data; boundary=b", parts).await?;
    assert_eq!(left.status, 200, "{left:?}");
    assert_eq!(members(&node).await?.len(), 2);
    node.cli(&["group", "remove", LIST]).await?;
    let gone = post(&node, &path, FORM, CLICK).await?;
    assert_eq!(gone.status, 200, "{gone:?}");
    node.finish().await
}

#[tokio::test]
async fn the_policy_of_our_domains_alone_is_served() -> anyhow::Result<()> {
    let node = start_with(&[("POSTRIDER__WEB__MTA_STS__MODE", "enforce")]).await?;
    let path = "/.well-known/mta-sts.txt";
    let policy = get(&node, "mta-sts.example.test", path).await?;
    assert_eq!(policy.status, 200, "{policy:?}");
    assert!(
        policy.head.contains("content-type: text/plain"),
        "{policy:?}"
    );
    assert_eq!(
        policy.body,
        "version: STSv1\r\nmode: enforce\r\nmx: mail.example.test\r\nmax_age: 604800\r\n"
    );
    let dns = node.api("/v1/domains/example.test/dns").await?;
    assert_eq!(dns["policy"]["text"], policy.body.as_str(), "{dns}");
    assert!(!dns["notes"].to_string().contains("MTA-STS"), "{dns}");
    for host in [
        "mta-sts.outside.test",
        "example.test",
        "mta-sts.mail.example.test",
    ] {
        let foreign = get(&node, host, path).await?;
        assert_eq!(foreign.status, 404, "{host}: {foreign:?}");
    }
    for path in ["/", "/v1/status", "/metrics", "/.well-known/other"] {
        let other = get(&node, "mta-sts.example.test", path).await?;
        assert_eq!(other.status, 404, "{path}: {other:?}");
    }
    let (_, metrics) = node.http("/metrics").await?;
    for metric in [
        "postrider_connections_total{protocol=\"web\"}",
        "postrider_http_request_seconds_count{route=\"/.well-known/mta-sts.txt\",status=\"200\"}",
    ] {
        assert!(metrics.contains(metric), "{metric} in {metrics}");
    }
    node.finish().await
}

#[tokio::test]
async fn what_is_too_large_or_too_slow_is_cut_off() -> anyhow::Result<()> {
    let node = start_with(&[("POSTRIDER__WEB__REQUEST_TIMEOUT", "1s")]).await?;
    let mut node = node;
    let token = key(&mut node).await?.token(LIST, ALICE);
    let head = format!("POST /unsubscribe/{token} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n");

    let large = ask(&node, &format!("{head}Content-Length: 4097\r\n\r\n")).await?;
    assert_eq!(large.status, 413, "{large:?}");
    let chunk = "x".repeat(5000);
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n1388\r\n{chunk}\r\n");
    assert_eq!(ask(&node, &chunked).await?.status, 413);
    let long = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(17_000)
    );
    let long = ask(&node, &long).await?;
    assert_eq!(long.status, 431, "{long:?}");

    let slow = ask(&node, &format!("{head}Content-Length: 26\r\n\r\nList-")).await?;
    assert_eq!(slow.status, 408, "{slow:?}");
    let begun = Instant::now();
    for start in ["", "GET / HTTP/1.1\r\nHos"] {
        let mut wire = connect(&node).await?;
        wire.send(start).await?;
        // Cut off, or told so first.
        let told = wire.to_end().await.unwrap_or_default();
        assert!(!told.starts_with(b"HTTP/1.1 200"), "{start}");
    }
    assert!(begun.elapsed() < Duration::from_secs(20));

    // One request per connection.
    let twice = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
    let once = ask(&node, &twice).await?;
    assert!(once.head.contains("connection: close"), "{once:?}");
    assert!(!once.body.contains("HTTP/1.1"), "{once:?}");
    node.finish().await
}

#[tokio::test]
async fn links_that_would_lead_nowhere_are_refused() -> anyhow::Result<()> {
    let node = start_with(&[(WEB, "pop3")]).await?;
    let add = ["group", "add", LIST, ALICE, "--list", "--unsubscribe"];
    let refused = node.cli(&add).await.unwrap_err().to_string();
    assert!(refused.contains("set web.url"), "{refused}");
    node.cli(&["group", "add", LIST, ALICE, "--list"]).await?;
    let set = ["group", "set", LIST, "--unsubscribe", "true"];
    assert!(node.cli(&set).await.is_err());
    node.cli(&["group", "set", LIST, "--unsubscribe", "false"])
        .await?;
    let dns = node.cli(&["domain", "dns", "example.test"]).await?;
    let note = "This node does not serve the MTA-STS policy: add a `web` listener";
    assert!(dns.contains(note), "{dns}");
    assert!(
        dns.contains("_mta-sts.example.test  TXT\n    v=STSv1; id="),
        "{dns}"
    );
    node.finish().await?;

    // Another node, or a server in front of it.
    let url = ("POSTRIDER__WEB__URL", "https://www.example.test");
    let withdrawn = ("POSTRIDER__WEB__MTA_STS__MODE", "none");
    let node = start_with(&[(WEB, "pop3"), url, withdrawn]).await?;
    node.cli(&add).await?;
    let dns = node.cli(&["domain", "dns", "example.test"]).await?;
    assert!(dns.contains("    mode: none\n"), "{dns}");
    assert!(
        dns.contains("the MTA-STS policy withdraws one of before"),
        "{dns}"
    );
    node.finish().await
}

/// The value of a field of one line.
fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = message.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::trim))
}

#[tokio::test]
async fn the_link_in_a_members_copy_takes_that_member_out() -> anyhow::Result<()> {
    let (node, _) = with_list().await?;
    crate::deliver(&node, LIST, &crate::message("news", "Hello.")).await?;
    let copy = first_mail(&node, ALICE).await?;
    let post_field = field(&copy, "List-Unsubscribe-Post");
    assert_eq!(post_field, Some(CLICK), "{copy}");
    let link = field(&copy, "List-Unsubscribe").unwrap_or_default();
    let path = link.strip_prefix("<https://mail.example.test");
    let path = path.and_then(|rest| rest.strip_suffix('>'));
    let path = path.ok_or_else(|| anyhow::anyhow!("{link:?} in {copy}"))?;
    assert_eq!(post(&node, path, FORM, CLICK).await?.status, 200);
    let members = members(&node).await?;
    assert_eq!(members.len(), 2);
    assert!(!members.contains(&ALICE.to_owned()), "{members:?}");
    node.finish().await
}

#[tokio::test]
async fn a_load_balancer_in_front_tells_who_comes() -> anyhow::Result<()> {
    let trusted = ("POSTRIDER__LISTENER__9__PROXY_FROM", "[\"127.0.0.0/8\"]");
    let node = start_with(&[trusted]).await?;
    let request = "GET / HTTP/1.1\r\nHost: mail.example.test\r\n\r\n";
    let mut wire = Wire::connect(node.addresses().web).await?;
    wire.send("PROXY TCP4 203.0.113.9 192.0.2.1 4321 443\r\n")
        .await?;
    let mut wire = wire.start_tls(node.authority()).await?;
    wire.send(request).await?;
    assert_eq!(answer(wire).await?.status, 404);
    // Who is trusted to say it says it, or gets no answer.
    let bare = Wire::connect(node.addresses().web).await?;
    assert!(bare.start_tls(node.authority()).await.is_err());
    node.finish().await
}
