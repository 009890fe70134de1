//! Mailing lists: what members here and elsewhere get, and where bounces go.

use postrider_route::testing::DnsServer;
use postrider_tests::{Act, Node, Peer, Smtp, Stage};

use crate::outbound::{first_mail, queue_is_empty, submission, world_of};
use crate::{ALICE, BOB, message};

const LIST: &str = "news@example.test";
const BOUNCES: &str = "news+bounces@example.test";

/// A node that sends to `peer`, whose postmaster is alice.
async fn world(peer: &Peer) -> anyhow::Result<(Node, DnsServer)> {
    let dns = DnsServer::start().await;
    dns.add_zone("outside.test", false);
    let postmaster = ("POSTRIDER__SMTP__POSTMASTER", ALICE);
    let node = world_of(peer, &dns, &[postmaster]).await?;
    Ok((node, dns))
}

/// The code of the reply to a message from outside.
async fn post(node: &Node, from: &str, to: &str, message: &str) -> anyhow::Result<String> {
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    let reply = smtp.deliver(from, to, message).await?;
    Ok(format!("{} {}", reply.code, reply.text))
}

/// Whether all these lines stand in a message.
fn has_lines(message: &str, lines: &[&str]) -> bool {
    lines
        .iter()
        .all(|line| message.lines().any(|it| it.trim_end() == *line))
}

const FIELDS: [&str; 5] = [
    "List-Id: <news.example.test>",
    "List-Post: <mailto:news@example.test>",
    "List-Owner: <mailto:alice@example.test>",
    "List-Help: <mailto:alice@example.test>",
    "Precedence: list",
];

#[tokio::test]
async fn a_post_reaches_members_here_and_elsewhere_in_the_lists_name() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let (node, _dns) = world(&peer).await?;
    let carl = "carl@outside.test";
    node.cli(&["group", "add", LIST, BOB, carl, "--list", "--owner", ALICE])
        .await?;
    let told = node.api("/v1/groups").await?;
    let told = &told["items"][0];
    assert_eq!(
        (&told["list"], &told["owner"]),
        (&true.into(), &ALICE.into())
    );

    let dora = "dora@elsewhere.test";
    let reply = post(&node, dora, LIST, &message("first", "Hello.")).await?;
    assert!(reply.starts_with("250 "), "{reply}");
    let taken = peer.has_taken(1).await?;
    let (mail, copy) = (&taken[0].mail, &taken[0].content);
    assert!(
        mail.starts_with(&format!("MAIL FROM:<{BOUNCES}>")),
        "{mail}"
    );
    assert!(has_lines(copy, &FIELDS), "{copy}");
    assert!(copy.contains("d=example.test;"), "{copy}");
    assert!(!copy.contains("ARC-Seal:"), "{copy}");
    assert!(
        copy.contains("\r\nFrom: Stranger <stranger@outside.test>\r\n"),
        "{copy}"
    );
    assert!(!copy.contains("List-Unsubscribe"), "{copy}");
    let bob = first_mail(&node, BOB).await?;
    assert!(has_lines(&bob, &FIELDS), "{bob}");
    assert!(bob.contains(&format!("Return-Path: <{BOUNCES}>")), "{bob}");

    // It comes back: the list has had it.
    let reply = post(&node, dora, LIST, copy).await?;
    assert!(reply.starts_with("554 5.4.6 "), "{reply}");
    let vacation = format!("Auto-Submitted: auto-replied\r\n{}", message("away", "x"));
    let reply = post(&node, dora, LIST, &vacation).await?;
    assert!(reply.starts_with("550 5.7.1 "), "{reply}");
    let reply = post(&node, "", LIST, &message("notice", "x")).await?;
    assert!(reply.starts_with("550 5.7.1 "), "{reply}");

    // A user of ours posts too.
    let mut smtp = submission(&node).await?;
    let reply = smtp.deliver(ALICE, LIST, &message("second", "x")).await?;
    assert_eq!(reply.code, 250, "{reply:?}");
    let taken = peer.has_taken(2).await?;
    assert!(taken[1].mail.contains(BOUNCES), "{:?}", taken[1]);
    assert!(has_lines(&taken[1].content, &FIELDS), "{:?}", taken[1]);

    // As a plain group it passes mail on as it came.
    node.cli(&["group", "set", LIST, "--list", "false"]).await?;
    let reply = post(&node, dora, LIST, &message("third", "x")).await?;
    assert!(reply.starts_with("250 "), "{reply}");
    let taken = peer.has_taken(3).await?;
    assert!(
        taken[2].mail.starts_with("MAIL FROM:<SRS0="),
        "{:?}",
        taken[2]
    );
    assert!(!taken[2].content.contains("List-"), "{:?}", taken[2]);
    let reply = post(&node, "", BOUNCES, &message("bounce", "x")).await?;
    assert!(reply.starts_with("250 "), "a plus detail again: {reply}");
    queue_is_empty(&node).await?;
    node.finish().await
}

/// Takes all but mail to `nobody@`.
fn refusing_nobody(stage: Stage, _: usize, command: &str) -> Act {
    match stage {
        Stage::Recipient if command.contains("nobody@") => {
            Act::Reply("550 5.1.1 no such person".into())
        }
        _ => Act::Accept,
    }
}

#[tokio::test]
async fn bounces_come_to_the_owner_alone() -> anyhow::Result<()> {
    let peer = Peer::scripted(refusing_nobody).await?;
    let (node, _dns) = world(&peer).await?;
    // Nobody is named as its owner: the postmaster is.
    let nobody = "nobody@outside.test";
    node.cli(&["group", "add", LIST, nobody, "--list"]).await?;
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    let text = message("lost", "Hello.");
    let reply = smtp.deliver(BOB, LIST, &text).await?;
    assert_eq!(reply.code, 250, "{reply:?}");
    let notice = first_mail(&node, ALICE).await?;
    assert!(notice.contains("Return-Path: <>"), "{notice}");
    assert!(notice.contains("no such person"), "{notice}");
    assert!(notice.contains("Subject: lost"), "{notice}");
    queue_is_empty(&node).await?;

    // One that another server makes, from now on to a named owner.
    node.cli(&["group", "set", LIST, "--owner", BOB]).await?;
    let reply = post(&node, "", BOUNCES, &message("returned", "x")).await?;
    assert!(reply.starts_with("250 "), "{reply}");
    let bounce = first_mail(&node, BOB).await?;
    assert!(bounce.contains("Subject: returned"), "{bounce}");
    assert!(!bounce.contains("List-Id"), "{bounce}");
    assert_eq!(peer.taken(), [], "nothing went to the member");
    node.finish().await
}
