//! NOTIFY=SUCCESS (RFC 3461) over the wire: who hears of what arrived here, was spread,
//! or was passed on.

use postrider_tests::{Node, Peer, Smtp};

use crate::outbound::{first_mail, queue_is_empty, submission, world, world_with};
use crate::{ALICE, BOB, imap};

/// Strangers hear of success as well.
const EVERYONE: [(&str, &str); 1] = [("POSTRIDER__SMTP__SUCCESS_NOTICES", "everyone")];

/// Sends a message over a session that has greeted.
async fn send(smtp: &mut Smtp, from: &str, to: &str, notify: &str) -> anyhow::Result<()> {
    smtp.expect(250, &format!("MAIL FROM:<{from}> ENVID=QQ1"))
        .await?;
    smtp.expect(250, &format!("RCPT TO:<{to}>{notify}")).await?;
    smtp.expect(354, "DATA").await?;
    smtp.wire
        .send(format!(
            "From: <{from}>\r\nSubject: told\r\n\r\nHello.\r\n.\r\n"
        ))
        .await?;
    let reply = smtp.reply().await?;
    anyhow::ensure!(reply.code == 250, "{reply:?}");
    Ok(())
}

/// A stranger's session.
async fn stranger(node: &Node) -> anyhow::Result<Smtp> {
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    Ok(smtp)
}

/// How many messages a user's INBOX has.
async fn count(node: &Node, user: &str) -> anyhow::Result<Vec<String>> {
    let selected = imap(node, user).await?.run("SELECT INBOX").await?.ok()?;
    let lines = selected.untagged.into_iter();
    Ok(lines.filter(|line| line.ends_with(" EXISTS")).collect())
}

#[tokio::test]
async fn a_sender_here_finds_the_notice_once_the_message_is_accepted() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let (node, _dns) = world(&peer).await?;
    let mut smtp = submission(&node).await?;
    for notify in ["", " NOTIFY=NEVER", " NOTIFY=FAILURE"] {
        send(&mut smtp, ALICE, BOB, notify).await?;
    }
    assert_eq!(count(&node, ALICE).await?, ["0 EXISTS"]);
    let notify = " NOTIFY=SUCCESS ORCPT=rfc822;robert@example.test";
    send(&mut smtp, ALICE, BOB, notify).await?;
    assert_eq!(count(&node, ALICE).await?, ["1 EXISTS"]);
    assert_eq!(count(&node, BOB).await?, ["4 EXISTS"]);
    let notice = first_mail(&node, ALICE).await?;
    for part in [
        "Return-Path: <>",
        "Auto-Submitted: auto-replied",
        "report-type=delivery-status",
        "Original-Envelope-Id: QQ1",
        "Original-Recipient: rfc822; robert@example.test",
        "Final-Recipient: rfc822; bob@example.test",
        "Action: delivered",
        "Status: 2.0.0",
        "Subject: told",
    ] {
        assert!(notice.contains(part), "{part} in {notice}");
    }
    node.finish().await
}

#[tokio::test]
async fn a_sender_elsewhere_gets_the_notice_by_mail() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let (node, _dns) = world_with(&peer, &EVERYONE).await?;
    let mut smtp = stranger(&node).await?;
    let notify = " NOTIFY=SUCCESS,FAILURE";
    send(&mut smtp, "dora@outside.test", BOB, notify).await?;
    let taken = peer.has_taken(1).await?;
    assert!(taken[0].mail.starts_with("MAIL FROM:<>"), "{taken:?}");
    assert!(
        taken[0].recipients[0].contains("<dora@outside.test>"),
        "{taken:?}"
    );
    let content = &taken[0].content;
    assert!(content.contains("Action: delivered"), "{content}");
    assert!(
        content.contains("Final-Recipient: rfc822; bob@example.test"),
        "{content}"
    );
    queue_is_empty(&node).await?;
    assert_eq!(peer.taken().len(), 1);
    node.finish().await
}

#[tokio::test]
async fn a_group_is_told_once_to_be_expanded() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let (node, _dns) = world(&peer).await?;
    node.cli(&[
        "group",
        "add",
        "team@example.test",
        BOB,
        "carl@outside.test",
    ])
    .await?;
    let mut smtp = submission(&node).await?;
    send(&mut smtp, ALICE, "team@example.test", " NOTIFY=SUCCESS").await?;
    let taken = peer.has_taken(1).await?;
    assert!(
        taken[0].recipients[0].contains("<carl@outside.test>"),
        "{taken:?}"
    );
    queue_is_empty(&node).await?;
    assert_eq!(count(&node, BOB).await?, ["1 EXISTS"]);
    // The peer tells no senders, and still nothing is told of its taking the message.
    assert_eq!(count(&node, ALICE).await?, ["1 EXISTS"]);
    let notice = first_mail(&node, ALICE).await?;
    assert!(notice.contains("Action: expanded"), "{notice}");
    assert!(
        notice.contains("Final-Recipient: rfc822; team@example.test"),
        "{notice}"
    );
    node.finish().await
}

#[tokio::test]
async fn of_what_an_alias_sends_on_the_way_out_is_told() -> anyhow::Result<()> {
    let peer = Peer::start().await?;
    let (node, _dns) = world_with(&peer, &EVERYONE).await?;
    node.cli(&["alias", "add", "away@example.test", "carl@outside.test"])
        .await?;
    let mut smtp = stranger(&node).await?;
    let away = "away@example.test";
    send(&mut smtp, "dora@outside.test", away, " NOTIFY=SUCCESS").await?;
    let taken = peer.has_taken(2).await?;
    assert!(
        taken[0].recipients[0].contains("<carl@outside.test>"),
        "{taken:?}"
    );
    assert!(taken[1].mail.starts_with("MAIL FROM:<>"), "{taken:?}");
    assert!(
        taken[1].recipients[0].contains("<dora@outside.test>"),
        "{taken:?}"
    );
    assert!(taken[1].content.contains("Action: relayed"), "{taken:?}");
    queue_is_empty(&node).await?;
    assert_eq!(peer.taken().len(), 2);
    node.finish().await
}
