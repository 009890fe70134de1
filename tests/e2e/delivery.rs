//! Mail in: SMTP, submission and LMTP, and who may send what to whom.

use postrider_tests::Smtp;

use crate::{ALICE, BOB, PASSWORD, deliver, imap, message, start};

#[tokio::test]
async fn a_message_arrives_with_its_trace_header() -> anyhow::Result<()> {
    let node = start().await?;
    deliver(
        &node,
        ALICE,
        &message("hello", "first line\r\n.a dot\r\n..two dots"),
    )
    .await?;
    let mut imap = imap(&node, ALICE).await?;
    assert!(
        imap.run("SELECT INBOX")
            .await?
            .ok()?
            .untagged
            .contains(&"1 EXISTS".to_owned())
    );
    let fetched = imap.run("FETCH 1 BODY[]").await?.ok()?.untagged.join("\n");
    assert!(
        fetched.contains("Return-Path: <stranger@outside.test>\r\n"),
        "{fetched}"
    );
    assert!(fetched.contains("Received: from client.test"), "{fetched}");
    assert!(
        fetched.contains("first line\r\n.a dot\r\n..two dots\r\n"),
        "{fetched}"
    );
    node.finish().await
}

#[tokio::test]
async fn aliases_groups_plus_addresses_and_the_catch_all_lead_to_accounts() -> anyhow::Result<()> {
    let node = start().await?;
    node.cli(&["alias", "add", "info@example.test", ALICE])
        .await?;
    node.cli(&["group", "add", "all@example.test", ALICE, BOB])
        .await?;
    for to in [
        "info@example.test",
        "all@example.test",
        "alice+Archive@example.test",
    ] {
        deliver(&node, to, &message("routed", "x")).await?;
    }
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    let unknown = smtp
        .deliver("s@outside.test", "nobody@example.test", "")
        .await?;
    assert_eq!(
        (unknown.code, unknown.text.starts_with("5.1.1 ")),
        (550, true),
        "{unknown:?}"
    );
    node.cli(&["domain", "set", "example.test", "--catch-all", BOB])
        .await?;
    deliver(&node, "nobody@example.test", &message("caught", "x")).await?;

    let mut alice = imap(&node, ALICE).await?;
    let status = alice.run("STATUS \"INBOX\" (MESSAGES)").await?.ok()?;
    assert_eq!(status.untagged, ["STATUS \"INBOX\" (MESSAGES 2)"]);
    let status = alice.run("STATUS \"Archive\" (MESSAGES)").await?.ok()?;
    assert_eq!(status.untagged, ["STATUS \"Archive\" (MESSAGES 1)"]);
    let mut bob = imap(&node, BOB).await?;
    let status = bob.run("STATUS \"INBOX\" (MESSAGES)").await?.ok()?;
    assert_eq!(status.untagged, ["STATUS \"INBOX\" (MESSAGES 2)"]);
    node.finish().await
}

#[tokio::test]
async fn submission_takes_mail_only_from_its_owner() -> anyhow::Result<()> {
    let node = start().await?;
    let mut smtp = Smtp::connect(node.addresses().submission).await?;
    smtp.expect(250, "EHLO client.test").await?;
    smtp.expect(530, &format!("MAIL FROM:<{ALICE}>")).await?;
    let mut smtp = smtp.start_tls(node.authority()).await?;
    smtp.expect(250, "EHLO client.test").await?;
    assert_eq!(smtp.login(ALICE, "wrong").await?.code, 535);
    assert_eq!(smtp.login(ALICE, PASSWORD).await?.code, 235);
    assert!(matches!(smtp.deliver(BOB, BOB, "").await?.code, 550 | 553));
    let bare = "From: alice@example.test\r\nSubject: bare\r\n\r\nno date, no id";
    assert_eq!(smtp.deliver(ALICE, BOB, bare).await?.code, 250);

    // RFC 6409 §8: missing Date and Message-ID are added.
    let mut bob = imap(&node, BOB).await?;
    bob.run("SELECT INBOX").await?.ok()?;
    let fetched = bob
        .run("FETCH 1 BODY[HEADER]")
        .await?
        .ok()?
        .untagged
        .join("\n");
    assert!(
        fetched.contains("\r\nDate: ") && fetched.contains("\r\nMessage-ID: <"),
        "{fetched}"
    );
    node.finish().await
}

#[tokio::test]
async fn a_stranger_cannot_relay() -> anyhow::Result<()> {
    let node = start().await?;
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    let reply = smtp
        .deliver("s@outside.test", "x@elsewhere.test", "")
        .await?;
    assert_eq!(reply.code, 554);
    assert!(reply.text.contains("5.7.1 ") && reply.text.contains("relay not permitted"));
    node.finish().await
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient() -> anyhow::Result<()> {
    let node = start().await?;
    node.cli(&["account", "set", BOB, "--quota", "2KiB"])
        .await?;
    let mut lmtp = Smtp::connect(node.addresses().lmtp).await?;
    lmtp.expect(250, "LHLO client.test").await?;
    lmtp.expect(250, "MAIL FROM:<s@outside.test>").await?;
    lmtp.expect(250, &format!("RCPT TO:<{ALICE}>")).await?;
    lmtp.expect(250, &format!("RCPT TO:<{BOB}>")).await?;
    lmtp.expect(550, "RCPT TO:<nobody@example.test>").await?;
    lmtp.expect(354, "DATA").await?;
    lmtp.wire
        .send(message(
            "large",
            &"x".repeat(900).replace("xxx", "x\r\n").repeat(4),
        ))
        .await?;
    lmtp.wire.send(".\r\n").await?;
    assert_eq!(lmtp.reply().await?.code, 250);
    assert!(matches!(lmtp.reply().await?.code, 452 | 552));
    lmtp.expect(250, "NOOP").await?;
    node.finish().await
}

#[tokio::test]
async fn a_full_account_refuses_mail() -> anyhow::Result<()> {
    let node = start().await?;
    node.cli(&["account", "set", ALICE, "--quota-messages", "1"])
        .await?;
    deliver(&node, ALICE, &message("one", "x")).await?;
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    let reply = smtp.deliver("s@outside.test", ALICE, "").await?;
    assert!(
        matches!(reply.code, 452 | 552) && reply.text.contains(".2.2 "),
        "{reply:?}"
    );
    let mut imap = imap(&node, ALICE).await?;
    let refused = imap.append("INBOX", "", &message("two", "x")).await?;
    assert!(
        refused.status.starts_with("NO [OVERQUOTA]"),
        "{}",
        refused.status
    );
    node.finish().await
}

#[tokio::test]
async fn nothing_is_smuggled_behind_a_bare_line_feed() -> anyhow::Result<()> {
    let node = start().await?;
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r"] {
        let mut smtp = Smtp::connect(node.addresses().smtp).await?;
        smtp.expect(250, "EHLO client.test").await?;
        smtp.expect(250, "MAIL FROM:<s@outside.test>").await?;
        smtp.expect(250, &format!("RCPT TO:<{ALICE}>")).await?;
        smtp.expect(354, "DATA").await?;
        let smuggled =
            format!("MAIL FROM:<evil@outside.test>\r\nRCPT TO:<{ALICE}>\r\nDATA\r\nevil");
        smtp.wire
            .send(format!("Subject: x\r\n\r\nbody{end}{smuggled}\r\n.\r\n"))
            .await?;
        let reply = smtp.reply().await?;
        assert!((500..600).contains(&reply.code), "{end:?}: {reply:?}");
        smtp.expect(250, "NOOP").await?;
    }
    let mut imap = imap(&node, ALICE).await?;
    let status = imap.run("STATUS \"INBOX\" (MESSAGES)").await?.ok()?;
    assert_eq!(status.untagged, ["STATUS \"INBOX\" (MESSAGES 0)"]);
    node.finish().await
}

#[tokio::test]
async fn plaintext_behind_starttls_is_discarded() -> anyhow::Result<()> {
    let node = start().await?;
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    smtp.wire
        .send("STARTTLS\r\nMAIL FROM:<injected@outside.test>\r\n")
        .await?;
    assert_eq!(smtp.reply().await?.code, 220);
    let mut smtp = Smtp {
        wire: smtp.wire.start_tls(node.authority()).await?,
    };
    smtp.expect(250, "EHLO client.test").await?;
    smtp.expect(503, &format!("RCPT TO:<{ALICE}>")).await?;
    node.finish().await
}
