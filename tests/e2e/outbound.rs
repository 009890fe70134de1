//! Mail out: what users send to other servers arrives there, or comes back.

use std::net::SocketAddr;
use std::time::Duration;

use postrider_route::testing::{Data, DnsServer};
use postrider_tests::{Act, Node, Peer, Smtp, Stage};
use tokio::time::{Instant, sleep};

use crate::{ALICE, BOB, PASSWORD, imap};

/// A node, a name server in which `outside.test` leads to `peer`, and settings
/// that try again at once.
pub(crate) async fn world(peer: &Peer) -> anyhow::Result<(Node, DnsServer)> {
    world_with(peer, &[]).await
}

pub(crate) async fn world_with(
    peer: &Peer,
    more: &[(&str, &str)],
) -> anyhow::Result<(Node, DnsServer)> {
    let dns = DnsServer::start().await;
    dns.add_zone("outside.test", false);
    let node = world_of(peer, &dns, more).await?;
    Ok((node, dns))
}

/// The same with a name server that knows the zone `outside.test`.
pub(crate) async fn world_of(
    peer: &Peer,
    dns: &DnsServer,
    more: &[(&str, &str)],
) -> anyhow::Result<Node> {
    dns.add("outside.test", Data::mx(10, "mx.outside.test"));
    dns.add("mx.outside.test", Data::address(peer.address().ip()));
    let servers = format!("[\"{}\"]", dns.address());
    let port = peer.address().port().to_string();
    let mut settings = vec![
        ("POSTRIDER__QUEUE__DNS__SERVERS", servers.as_str()),
        ("POSTRIDER__QUEUE__PORT", port.as_str()),
        ("POSTRIDER__QUEUE__LOOPBACK", "true"),
        ("POSTRIDER__QUEUE__RETRY", "[\"1s\"]"),
        ("POSTRIDER__QUEUE__LONGEST_REST", "1s"),
        ("POSTRIDER__SMTP__HOSTNAME", "mail.example.test"),
    ];
    settings.extend_from_slice(more);
    Node::start_with(env!("CARGO_BIN_EXE_postrider-under-test"), &settings).await
}

/// Takes all but mail to `nobody@`.
pub(crate) fn refusing_nobody(stage: Stage, _: usize, command: &str) -> Act {
    match stage {
        Stage::Recipient if command.contains("nobody@") => {
            Act::Reply("550 5.1.1 no such person".into())
        }
        _ => Act::Accept,
    }
}

/// Alice's session for sending.
pub(crate) async fn submission(node: &Node) -> anyhow::Result<Smtp> {
    let mut smtp = Smtp::connect(node.addresses().submission).await?;
    smtp.expect(250, "EHLO client.test").await?;
    smtp.login(ALICE, PASSWORD).await?;
    Ok(smtp)
}

pub(crate) async fn send(node: &Node, to: &[&str], subject: &str) -> anyhow::Result<()> {
    send_with(
        node,
        "",
        &to.iter().map(|to| (*to, "")).collect::<Vec<_>>(),
        subject,
    )
    .await
}

/// Sends with parameters of MAIL and of each RCPT.
async fn send_with(
    node: &Node,
    mail: &str,
    to: &[(&str, &str)],
    subject: &str,
) -> anyhow::Result<()> {
    let mut smtp = submission(node).await?;
    smtp.expect(250, &format!("MAIL FROM:<{ALICE}>{mail}"))
        .await?;
    for (to, parameters) in to {
        smtp.expect(250, &format!("RCPT TO:<{to}>{parameters}"))
            .await?;
    }
    smtp.expect(354, "DATA").await?;
    smtp.wire
        .send(format!(
            "From: <{ALICE}>\r\nSubject: {subject}\r\n\r\nHello.\r\n..dots\r\n.\r\n"
        ))
        .await?;
    let reply = smtp.reply().await?;
    anyhow::ensure!(reply.code == 250, "{reply:?}");
    Ok(())
}

/// The first message that comes into a user's INBOX.
pub(crate) async fn first_mail(node: &Node, user: &str) -> anyhow::Result<String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut imap = imap(node, user).await?;
    loop {
        let selected = imap.run("SELECT INBOX").await?.ok()?;
        if !selected.untagged.contains(&"0 EXISTS".to_owned()) {
            let fetched = imap.run("FETCH 1 BODY.PEEK[]").await?.ok()?;
            return Ok(fetched.untagged.join("\n"));
        }
        anyhow::ensure!(Instant::now() < deadline, "no mail came to {user}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// What the only entry of the queue could not be delivered for.
pub(crate) async fn last_error(node: &Node) -> anyhow::Result<String> {
    error_at(node, "/v1/queue").await
}

/// The same of the first entry of the list at `path`.
pub(crate) async fn error_at(node: &Node, path: &str) -> anyhow::Result<String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let list = node.api(path).await?;
        if let Some(error) = list["items"][0]["last_error"].as_str() {
            return Ok(error.to_owned());
        }
        anyhow::ensure!(Instant::now() < deadline, "not tried: {list}");
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn queue_is_empty(node: &Node) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let list = node.api("/v1/queue").await?;
        if list["items"].as_array().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "still queued: {list}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn mail_to_another_server_arrives_there_and_mail_to_both_in_both() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let (node, _dns) = world(&peer).await?;
    send(&node, &["carl@outside.test", BOB], "both").await?;
    let taken = peer.has_taken(1).await?;
    assert!(
        taken[0].mail.starts_with("MAIL FROM:<alice@example.test>"),
        "{taken:?}"
    );
    assert!(
        taken[0].recipients[0].starts_with("RCPT TO:<carl@outside.test>"),
        "{taken:?}"
    );
    let content = &taken[0].content;
    assert!(content.contains("Received: from client.test"), "{content}");
    assert!(content.contains("\r\nSubject: both\r\n"), "{content}");
    assert!(
        content.contains("DKIM-Signature: v=1; a=rsa-sha256;"),
        "{content}"
    );
    assert!(
        content.ends_with("\r\n\r\nHello.\r\n.dots\r\n"),
        "{content}"
    );
    assert!(first_mail(&node, BOB).await?.contains("Subject: both"));
    queue_is_empty(&node).await?;
    node.finish().await
}

#[tokio::test]
async fn a_stranger_cannot_send_through_it() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let (node, _dns) = world(&peer).await?;
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    let refused = smtp
        .deliver("x@outside.test", "carl@outside.test", "")
        .await?;
    assert_eq!(refused.code, 554);
    assert!(refused.text.contains("relay not permitted"), "{refused:?}");
    assert_eq!(peer.visits(Stage::Greeting), 0);
    node.finish().await
}

#[tokio::test]
async fn what_a_server_refuses_comes_back_with_its_words() -> anyhow::Result<()> {
    let peer = Peer::scripted(|stage, _, command| match stage {
        Stage::Recipient if command.contains("nobody@") => {
            Act::Reply("550 5.1.1 there is no such person here".into())
        }
        _ => Act::Accept,
    })
    .await?;
    let (node, _dns) = world(&peer).await?;
    send(&node, &["nobody@outside.test", "carl@outside.test"], "half").await?;
    let taken = peer.has_taken(1).await?;
    assert_eq!(taken[0].recipients.len(), 1, "{taken:?}");
    let notice = first_mail(&node, ALICE).await?;
    for part in [
        "Return-Path: <>",
        "multipart/report",
        "Final-Recipient: rfc822; nobody@outside.test",
        "Action: failed",
        "Status: 5.1.1",
        "there is no such person here",
        "Subject: half",
    ] {
        assert!(notice.contains(part), "{part} in {notice}");
    }
    assert!(!notice.contains("carl@outside.test"), "{notice}");
    queue_is_empty(&node).await?;
    let (_, metrics) = node.http("/metrics").await?;
    let label = "destination=\"outside.test\"";
    for line in [
        format!("postrider_queue_attempts_total{{{label}}} 1\n"),
        format!("postrider_queue_recipients_total{{outcome=\"sent\",{label}}} 1\n"),
        format!("postrider_queue_recipients_total{{outcome=\"failed\",{label}}} 1\n"),
    ] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    node.finish().await
}

#[tokio::test]
async fn a_domain_that_does_not_exist_comes_back() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let (node, _dns) = world(&peer).await?;
    send(&node, &["x@nowhere.outside.test"], "lost").await?;
    let notice = first_mail(&node, ALICE).await?;
    assert!(notice.contains("Status: 5.1.2"), "{notice}");
    assert!(notice.contains("nowhere.outside.test"), "{notice}");
    queue_is_empty(&node).await?;
    node.finish().await
}

#[tokio::test]
async fn whatever_breaks_the_message_arrives_once() -> anyhow::Result<()> {
    let stages = [
        Stage::Greeting,
        Stage::Hello,
        Stage::Mail,
        Stage::Recipient,
        Stage::Data,
        Stage::End,
    ];
    let breaks = [Act::Reset, Act::Reply("451 4.3.0 not now".into())];
    let cases = stages
        .iter()
        .flat_map(|stage| breaks.iter().map(|broken| (*stage, broken.clone())));
    let first = Peer::start().await?;
    let (node, dns) = world(&first).await?;
    let mut peers = Vec::new();
    // All on the port that the node is told to use, each at an address of its own.
    for (number, (stage, broken)) in (10u8..).zip(cases) {
        let name = format!("{number}.outside.test");
        let address = SocketAddr::from(([127, 0, 0, number], first.address().port()));
        let act = broken.clone();
        let script = move |at, visit, _: &str| match at == stage && visit == 0 {
            true => act.clone(),
            false => Act::Accept,
        };
        let peer = Peer::listening(address, "PIPELINING", script).await?;
        dns.add(&name, Data::address(peer.address().ip()));
        send(&node, &[&format!("carl@{name}")], "again").await?;
        peers.push((peer, stage, broken));
    }
    for (peer, _, _) in &peers {
        peer.has_taken(1).await?;
    }
    queue_is_empty(&node).await?;
    for (peer, stage, broken) in &peers {
        assert_eq!(peer.taken().len(), 1, "{stage:?} {broken:?}");
    }
    node.finish().await
}

#[tokio::test]
async fn a_server_that_dies_with_the_message_gets_it_again() -> anyhow::Result<()> {
    let peer = Peer::scripted(|stage, visit, _| match (stage, visit) {
        (Stage::End, 0) => Act::TakeAndReset,
        _ => Act::Accept,
    })
    .await?;
    let (node, _dns) = world(&peer).await?;
    send(&node, &["carl@outside.test"], "twice").await?;
    assert_eq!(peer.has_taken(2).await?.len(), 2);
    queue_is_empty(&node).await?;
    node.finish().await
}

#[tokio::test]
async fn a_message_that_cannot_be_delivered_in_time_comes_back() -> anyhow::Result<()> {
    let peer = Peer::scripted(|stage, _, _| match stage {
        Stage::Recipient => Act::Reply("450 4.2.1 the mailbox is busy".into()),
        _ => Act::Accept,
    })
    .await?;
    let more = [
        ("POSTRIDER__QUEUE__LIFETIME", "1m"),
        ("POSTRIDER__QUEUE__WARN_AFTER", "2s"),
    ];
    let (node, _dns) = world_with(&peer, &more).await?;
    send(&node, &["carl@outside.test"], "slow").await?;
    let notice = first_mail(&node, ALICE).await?;
    assert!(notice.contains("Action: delayed"), "{notice}");
    assert!(notice.contains("Will-Retry-Until:"), "{notice}");
    assert!(notice.contains("the mailbox is busy"), "{notice}");
    node.finish().await
}

#[tokio::test]
async fn success_is_told_where_asked_for_and_the_peer_does_not() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let (node, _dns) = world(&peer).await?;
    let to = [(
        "carl@outside.test",
        " NOTIFY=SUCCESS ORCPT=rfc822;carl@outside.test",
    )];
    send_with(&node, " RET=HDRS ENVID=QQ314159", &to, "told").await?;
    let notice = first_mail(&node, ALICE).await?;
    for part in [
        "Action: relayed",
        "Original-Envelope-Id: QQ314159",
        "Original-Recipient: rfc822",
    ] {
        assert!(notice.contains(part), "{part} in {notice}");
    }
    node.finish().await
}

#[tokio::test]
async fn a_node_that_is_killed_sends_what_it_has_accepted_after_its_start() -> anyhow::Result<()> {
    let peer = Peer::scripted(|stage, visit, _| match (stage, visit) {
        // Nothing leaves before the node is killed.
        (Stage::Greeting, 0) => Act::Reply("421 4.3.2 later".into()),
        _ => Act::Accept,
    })
    .await?;
    let (mut node, _dns) = world(&peer).await?;
    send(&node, &["carl@outside.test"], "survivor").await?;
    node.kill().await?;
    node.start_again().await?;
    let taken = peer.has_taken(1).await?;
    assert!(taken[0].content.contains("Subject: survivor"));
    queue_is_empty(&node).await?;
    node.finish().await
}

#[tokio::test]
async fn what_is_forwarded_leaves_under_a_sender_that_leads_back() -> anyhow::Result<()> {
    let peer = Peer::scripted(refusing_nobody).await?;
    let (node, _dns) = world(&peer).await?;
    node.cli(&["alias", "add", "gone@example.test", "nobody@outside.test"])
        .await?;
    node.cli(&[
        "alias",
        "add",
        "away@example.test",
        "carl@outside.test",
        BOB,
    ])
    .await?;
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    let text = "Subject: forwarded\r\n\r\nHello.\r\n";
    let reply = smtp
        .deliver("dora@outside.test", "away@example.test", text)
        .await?;
    assert_eq!(reply.code, 250, "{reply:?}");
    let taken = peer.has_taken(1).await?;
    assert!(first_mail(&node, BOB).await?.contains("Subject: forwarded"));
    assert!(!taken[0].content.contains("DKIM-Signature"), "{taken:?}");
    let (_, sender) = taken[0].mail.split_once("FROM:<").unwrap();
    let (sender, _) = sender.split_once('>').unwrap();
    assert!(
        sender.starts_with("SRS0=") && sender.ends_with("@example.test"),
        "{sender}"
    );

    // Its bounce goes back to where the message came from; a made up one does not.
    let reply = smtp
        .deliver("", sender, "Subject: bounced\r\n\r\nNo.\r\n")
        .await?;
    assert_eq!(reply.code, 250, "{reply:?}");
    let taken = peer.has_taken(2).await?;
    assert!(
        taken[1].recipients[0].contains("<dora@outside.test>"),
        "{taken:?}"
    );
    // Only a notice does: else it were a relay to that address.
    let reply = smtp
        .deliver("eve@outside.test", sender, "Subject: x\r\n\r\n")
        .await?;
    assert_eq!(reply.code, 550, "{reply:?}");
    // So does ours, where the other server refuses.
    let text = "Subject: refused\r\n\r\nHello.\r\n";
    let reply = smtp
        .deliver("dora@outside.test", "gone@example.test", text)
        .await?;
    assert_eq!(reply.code, 250, "{reply:?}");
    let taken = peer.has_taken(3).await?;
    assert!(taken[2].mail.starts_with("MAIL FROM:<>"), "{taken:?}");
    assert!(
        taken[2].recipients[0].contains("<dora@outside.test>"),
        "{taken:?}"
    );
    assert!(taken[2].content.contains("no such person"), "{taken:?}");
    let made_up = sender.replace("dora", "eve");
    let reply = smtp.deliver("", &made_up, "Subject: x\r\n\r\n").await?;
    assert_eq!(reply.code, 550, "{reply:?}");
    queue_is_empty(&node).await?;
    node.finish().await
}

#[tokio::test]
async fn an_account_that_sends_too_much_is_stopped_and_told_of() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let more = [
        ("POSTRIDER__SMTP__MAX_SENT_MESSAGES_PER_HOUR", "2"),
        ("POSTRIDER__SMTP__MAX_SENT_RECIPIENTS_PER_HOUR", "3"),
        ("POSTRIDER__SMTP__POSTMASTER", BOB),
    ];
    let (node, _dns) = world_with(&peer, &more).await?;
    send(&node, &["a@outside.test", "b@outside.test"], "first").await?;
    let mut smtp = submission(&node).await?;
    smtp.expect(250, &format!("MAIL FROM:<{ALICE}>")).await?;
    smtp.expect(250, "RCPT TO:<c@outside.test>").await?;
    let refused = smtp.expect(450, "RCPT TO:<d@outside.test>").await?;
    assert!(refused.text.starts_with("4.7.1 "), "{refused:?}");
    smtp.expect(250, "RSET").await?;
    let refused = smtp.expect(450, &format!("MAIL FROM:<{ALICE}>")).await?;
    assert!(refused.text.starts_with("4.7.1 "), "{refused:?}");
    let notice = first_mail(&node, BOB).await?;
    assert!(
        notice.contains("alice@example.test sends more than it may"),
        "{notice}"
    );
    node.finish().await
}

#[tokio::test]
async fn a_server_without_8bitmime_gets_seven_bits() -> anyhow::Result<()> {
    let peer = Peer::offering("PIPELINING", |_, _, _| Act::Accept).await?;
    let (node, _dns) = world(&peer).await?;
    let mut smtp = submission(&node).await?;
    smtp.expect(250, &format!("MAIL FROM:<{ALICE}> BODY=8BITMIME"))
        .await?;
    smtp.expect(250, "RCPT TO:<carl@outside.test>").await?;
    smtp.expect(354, "DATA").await?;
    smtp.wire
        .send(format!(
            "From: <{ALICE}>\r\nSubject: umlauts\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e\r\n.\r\n"
        ))
        .await?;
    assert_eq!(smtp.reply().await?.code, 250);
    let taken = peer.has_taken(1).await?;
    let content = &taken[0].content;
    assert!(
        content.is_ascii() && content.contains("Gr=C3=BC=C3=9Fe"),
        "{content}"
    );
    assert!(
        content.contains("Content-Transfer-Encoding: quoted-printable"),
        "{content}"
    );
    node.finish().await
}

#[tokio::test]
async fn notices_about_forwarded_mail_go_to_its_sender_alone() -> anyhow::Result<()> {
    let peer = Peer::scripted(refusing_nobody).await?;
    let (node, _dns) = world(&peer).await?;
    node.cli(&["alias", "add", "gone@example.test", "nobody@outside.test"])
        .await?;
    node.cli(&["domain", "set", "example.test", "--catch-all", BOB])
        .await?;
    // A sender of ours needs no other one, and hears of it in her INBOX.
    send(&node, &["gone@example.test"], "ours").await?;
    let notice = first_mail(&node, ALICE).await?;
    assert!(notice.contains("no such person"), "{notice}");
    // One from elsewhere hears of it there, not who takes all other mail.
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    let text = "Subject: secret\r\n\r\nHello.\r\n";
    let reply = smtp
        .deliver("dora@outside.test", "gone@example.test", text)
        .await?;
    assert_eq!(reply.code, 250, "{reply:?}");
    let taken = peer.has_taken(1).await?;
    assert!(taken[0].recipients[0].contains("<dora@outside.test>"));
    queue_is_empty(&node).await?;
    let mut bob = imap(&node, BOB).await?;
    let selected = bob.run("SELECT INBOX").await?.ok()?;
    assert!(selected.untagged.contains(&"0 EXISTS".to_owned()));
    node.finish().await
}
