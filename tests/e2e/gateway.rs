//! A node in front of another server: what that one takes is taken and goes on to
//! it, what it does not know is refused before it was taken.

use std::net::SocketAddr;
use std::time::Duration;

use postrider_tests::{Act, Node, Peer, Smtp, Stage};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::outbound::{first_mail, queue_is_empty, submission};
use crate::{PASSWORD, message};

/// A node that tries again at once and waits two seconds for answers.
async fn node() -> anyhow::Result<Node> {
    let settings = [
        ("POSTRIDER__QUEUE__RETRY", "[\"1s\"]"),
        ("POSTRIDER__QUEUE__LONGEST_REST", "1s"),
        ("POSTRIDER__QUEUE__GATEWAY__TIMEOUT", "2s"),
        ("POSTRIDER__SMTP__HOSTNAME", "mail.example.test"),
    ];
    Node::start_with(env!("CARGO_BIN_EXE_postrider-under-test"), &settings).await
}

/// A node in front of `peer`, which has the addresses of `inner.test`.
async fn in_front_of(peer: &Peer) -> anyhow::Result<Node> {
    let node = node().await?;
    relay(&node, "inner.test", peer.address()).await?;
    Ok(node)
}

async fn relay(node: &Node, domain: &str, to: SocketAddr) -> anyhow::Result<()> {
    let to = to.to_string();
    node.cli(&["domain", "add", domain, "--relay-to", &to])
        .await?;
    Ok(())
}

/// Knows all but `nobody@`.
async fn inner() -> anyhow::Result<Peer> {
    Peer::scripted(|stage, _, command| match stage {
        Stage::Recipient if command.contains("nobody@") => {
            Act::Reply("550 5.1.1 no such person".into())
        }
        Stage::Recipient if command.contains("full@") => Act::Reply("452 4.2.2 no room".into()),
        _ => Act::Accept,
    })
    .await
}

/// A stranger's session, in a transaction.
async fn stranger(node: &Node) -> anyhow::Result<Smtp> {
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    smtp.expect(250, "MAIL FROM:<Stranger@outside.test>")
        .await?;
    Ok(smtp)
}

/// The answer to RCPT, as code and text.
async fn ask(smtp: &mut Smtp, to: &str) -> anyhow::Result<(u16, String)> {
    smtp.wire.send(format!("RCPT TO:<{to}>\r\n")).await?;
    let reply = smtp.reply().await?;
    Ok((reply.code, reply.text))
}

/// Sends content and expects 250.
async fn finish(smtp: &mut Smtp) -> anyhow::Result<()> {
    smtp.expect(354, "DATA").await?;
    let text = message("inward", "Hello.");
    smtp.wire.send(format!("{text}.\r\n")).await?;
    let reply = smtp.reply().await?;
    anyhow::ensure!(reply.code == 250, "{reply:?}");
    Ok(())
}

#[tokio::test]
async fn what_the_server_behind_knows_goes_on_to_it_as_it_came() -> anyhow::Result<()> {
    let peer = inner().await?;
    let node = in_front_of(&peer).await?;
    let mut smtp = stranger(&node).await?;
    let (code, text) = ask(&mut smtp, "nobody@inner.test").await?;
    assert_eq!(code, 550);
    assert!(
        text.contains("5.1.1") && text.contains("no such person"),
        "{text}"
    );
    let (code, text) = ask(&mut smtp, "full@inner.test").await?;
    assert_eq!(code, 450);
    assert!(text.contains("4.2.2") && text.contains("no room"), "{text}");
    assert_eq!(ask(&mut smtp, "x@other.test").await?.0, 554);
    assert_eq!(ask(&mut smtp, "x@sub.inner.test").await?.0, 554);
    // As it is written: only that server knows what its names are.
    assert_eq!(ask(&mut smtp, "Carl@inner.test").await?.0, 250);
    assert_eq!(ask(&mut smtp, "\"o d d\"@inner.test").await?.0, 250);
    assert_eq!(ask(&mut smtp, "postmaster@inner.test").await?.0, 250);
    finish(&mut smtp).await?;
    let taken = peer.has_taken(1).await?.remove(0);
    assert!(
        taken.mail.starts_with("MAIL FROM:<Stranger@outside.test>"),
        "{taken:?}"
    );
    for to in ["Carl", "\"o d d\"", "postmaster"] {
        let rcpt = format!("RCPT TO:<{to}@inner.test>");
        let found = taken.recipients.iter().any(|it| it.starts_with(&rcpt));
        assert!(found, "{rcpt} in {taken:?}");
    }
    let content = &taken.content;
    assert!(
        content.starts_with("Received: from client.test"),
        "{content}"
    );
    for field in ["DKIM-Signature:", "ARC-Seal:"] {
        assert!(!content.contains(field), "{content}");
    }
    queue_is_empty(&node).await?;
    node.finish().await
}

#[tokio::test]
async fn the_postmaster_of_all_domains_may_be_behind() -> anyhow::Result<()> {
    let peer = Peer::scripted(|stage, _, command| match stage {
        Stage::Recipient if command.contains("postmaster@") => {
            Act::Reply("550 5.1.1 no such person".into())
        }
        _ => Act::Accept,
    })
    .await?;
    let settings = [("POSTRIDER__SMTP__POSTMASTER", "admin@inner.test")];
    let node = Node::start_with(env!("CARGO_BIN_EXE_postrider-under-test"), &settings).await?;
    relay(&node, "inner.test", peer.address()).await?;
    let mut smtp = stranger(&node).await?;
    for to in ["postmaster@example.test", "postmaster@inner.test"] {
        let (code, text) = ask(&mut smtp, to).await?;
        assert_eq!(code, 250, "{to}: {text}");
    }
    smtp.expect(250, "RCPT TO:<postmaster>").await?;
    finish(&mut smtp).await?;
    let taken = peer.has_taken(1).await?.remove(0);
    assert_eq!(taken.recipients, ["RCPT TO:<admin@inner.test>"]);
    node.finish().await
}

#[tokio::test]
async fn who_is_here_gets_the_mail_here() -> anyhow::Result<()> {
    let peer = inner().await?;
    let node = in_front_of(&peer).await?;
    node.account("moved@inner.test").await?;
    node.cli(&["alias", "add", "post@inner.test", "moved@inner.test"])
        .await?;
    let mut smtp = stranger(&node).await?;
    for to in ["moved@inner.test", "moved+x@inner.test", "post@inner.test"] {
        assert_eq!(ask(&mut smtp, to).await?.0, 250, "{to}");
    }
    finish(&mut smtp).await?;
    let mail = first_mail(&node, "moved@inner.test").await?;
    assert!(mail.contains("Subject: inward"), "{mail}");
    assert_eq!(peer.visits(Stage::Greeting), 0);
    node.finish().await
}

#[tokio::test]
async fn an_alias_that_leads_behind_keeps_the_sender() -> anyhow::Result<()> {
    let peer = inner().await?;
    let node = in_front_of(&peer).await?;
    node.cli(&["alias", "add", "carl@example.test", "carl@inner.test"])
        .await?;
    let mut smtp = stranger(&node).await?;
    assert_eq!(ask(&mut smtp, "carl@example.test").await?.0, 250);
    finish(&mut smtp).await?;
    let taken = peer.has_taken(1).await?.remove(0);
    assert!(
        taken.mail.starts_with("MAIL FROM:<Stranger@outside.test>"),
        "{taken:?}"
    );
    assert!(!taken.content.contains("ARC-Seal:"), "{taken:?}");
    node.finish().await
}

#[tokio::test]
async fn an_answer_is_asked_for_once() -> anyhow::Result<()> {
    let peer = Peer::scripted(|stage, _, command| match stage {
        Stage::Recipient if command.contains("nobody@") => {
            Act::Reply("550 5.1.1 no such person".into())
        }
        Stage::Recipient => Act::AcceptAfter(Duration::from_millis(300)),
        _ => Act::Accept,
    })
    .await?;
    let node = in_front_of(&peer).await?;
    let one = async || {
        let mut smtp = stranger(&node).await?;
        ask(&mut smtp, "carl@inner.test").await
    };
    let (a, b, c) = tokio::try_join!(one(), one(), one())?;
    assert_eq!([a.0, b.0, c.0], [250; 3]);
    let mut smtp = stranger(&node).await?;
    for _ in 0..3 {
        assert_eq!(ask(&mut smtp, "nobody@inner.test").await?.0, 550);
        assert_eq!(ask(&mut smtp, "carl@inner.test").await?.0, 250);
    }
    assert_eq!(peer.visits(Stage::Recipient), 2);
    // One connection after the other serves: it was kept.
    assert_eq!(peer.visits(Stage::Greeting), 1);
    node.finish().await
}

#[tokio::test]
async fn a_server_that_is_away_has_strangers_wait_and_users_not() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.2:0").await?;
    let away = listener.local_addr()?;
    drop(listener);
    let node = node().await?;
    relay(&node, "inner.test", away).await?;
    let mut smtp = stranger(&node).await?;
    let (code, text) = ask(&mut smtp, "carl@inner.test").await?;
    assert_eq!(code, 450);
    assert!(
        text.contains("4.4.1") && text.contains("inner.test"),
        "{text}"
    );
    // A user hears of it by a notice, should it come to nothing.
    let mut smtp = submission(&node).await?;
    smtp.expect(250, "MAIL FROM:<alice@example.test>").await?;
    assert_eq!(ask(&mut smtp, "carl@inner.test").await?.0, 250);
    finish(&mut smtp).await?;
    // Mail would come back: the domain stays relayed while it waits.
    let ended = node
        .cli(&["domain", "set", "inner.test", "--no-relay"])
        .await;
    let refusal = format!("{:#}", ended.expect_err("mail waits"));
    assert!(
        refusal.contains("queue list --domain inner.test"),
        "{refusal}"
    );
    // The server is found elsewhere, and the mail goes there.
    let peer = inner().await?;
    let to = peer.address().to_string();
    node.cli(&["domain", "set", "inner.test", "--relay-to", &to])
        .await?;
    peer.has_taken(1).await?;
    queue_is_empty(&node).await?;
    let shown = node.cli(&["domain", "show", "inner.test"]).await?;
    assert!(shown.contains(&to), "{shown}");
    node.cli(&["domain", "set", "inner.test", "--no-relay"])
        .await?;
    let listed = node.cli(&["domain", "list"]).await?;
    assert!(!listed.contains(&to), "{listed}");
    let mut smtp = stranger(&node).await?;
    assert_eq!(ask(&mut smtp, "carl@inner.test").await?.0, 550);
    node.finish().await
}

#[tokio::test]
async fn a_hostile_server_behind_costs_a_bounded_time() -> anyhow::Result<()> {
    let slow = || Act::AcceptAfter(Duration::from_secs(3600));
    let long = || Act::Reply(format!("250-{}", "x".repeat(200_000)));
    let odd = || Act::Reply("354 go on".into());
    let wants = || Act::Reply("530 5.7.0 log in first".into());
    let acts = [slow(), long(), odd(), wants(), Act::Reset];
    let stages = [Stage::Greeting, Stage::Hello, Stage::Mail, Stage::Recipient];
    let node = node().await?;
    let mut peers = Vec::new();
    for (n, act) in acts.into_iter().enumerate() {
        for (m, at) in stages.into_iter().enumerate() {
            let act = act.clone();
            let peer = Peer::scripted(move |stage, _, _| match stage == at {
                true => act.clone(),
                false => Act::Accept,
            })
            .await?;
            relay(&node, &format!("hostile{n}-{m}.test"), peer.address()).await?;
            peers.push((format!("carl@hostile{n}-{m}.test"), peer));
        }
    }
    // All at once: each has a while of its own, and no other domain waits.
    let fine = inner().await?;
    relay(&node, "inner.test", fine.address()).await?;
    let asked = peers.iter().map(async |(to, _)| {
        let mut smtp = stranger(&node).await?;
        let begun = Instant::now();
        let (code, text) = timeout(Duration::from_secs(30), ask(&mut smtp, to)).await??;
        anyhow::ensure!(code == 450, "{to}: {code} {text}");
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(15), "{to} took long");
        anyhow::Ok(())
    });
    let others = async {
        let mut smtp = stranger(&node).await?;
        anyhow::ensure!(ask(&mut smtp, "carl@inner.test").await?.0 == 250);
        anyhow::Ok(())
    };
    tokio::try_join!(futures::future::try_join_all(asked), others)?;
    node.finish().await
}

#[tokio::test]
async fn an_account_of_a_relayed_domain_logs_in_here() -> anyhow::Result<()> {
    let peer = inner().await?;
    let node = in_front_of(&peer).await?;
    node.account("moved@inner.test").await?;
    let mut smtp = Smtp::connect(node.addresses().submission).await?;
    smtp.expect(250, "EHLO client.test").await?;
    smtp.login("moved@inner.test", PASSWORD).await?;
    smtp.expect(250, "MAIL FROM:<moved@inner.test>").await?;
    assert_eq!(ask(&mut smtp, "nobody@inner.test").await?.0, 550);
    assert_eq!(ask(&mut smtp, "carl@inner.test").await?.0, 250);
    finish(&mut smtp).await?;
    assert_eq!(peer.has_taken(1).await?.len(), 1);
    node.finish().await
}
