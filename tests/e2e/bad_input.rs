//! Hostile input over the wire: a clear reply or a closed connection, and a node
//! that lives on.

use std::net::SocketAddr;

use postrider_tests::{Imap, Node, Smtp, Wire};

use crate::{ALICE, deliver, imap, message, start};

/// The plain ports.
fn ports(node: &Node) -> [SocketAddr; 5] {
    let a = node.addresses();
    [a.smtp, a.submission, a.lmtp, a.imap, a.pop3]
}

#[tokio::test]
async fn nonsense_is_answered_or_cut_off() -> anyhow::Result<()> {
    let node = start().await?;
    let huge_line = vec![b'a'; 2_000_000];
    let nul = b"\0\0\0\0\r\n\xff\xfe\xfd\r\n".repeat(200);
    let many: Vec<u8> = b"x\r\n".repeat(100_000);
    for address in ports(&node) {
        for input in [
            &huge_line[..],
            &nul,
            &many,
            b"\r\n\r\n\r\n",
            b"\x16\x03\x01\x02\x00",
        ] {
            let mut wire = Wire::connect(address).await?;
            // A server that has had enough closes while we still send.
            let _ = wire.send(input).await;
            let _ = wire.send("\r\nQUIT\r\nx LOGOUT\r\n").await;
            wire.to_end().await?;
        }
    }
    deliver(&node, ALICE, &message("still alive", "x")).await?;
    node.finish().await
}

#[tokio::test]
async fn a_connection_cut_at_any_byte_delivers_nothing_or_all() -> anyhow::Result<()> {
    let node = start().await?;
    let dialogue = format!(
        "EHLO c.test\r\nMAIL FROM:<s@outside.test>\r\nRCPT TO:<{ALICE}>\r\nDATA\r\n{}.\r\n",
        message("cut", "x")
    );
    let body = dialogue.len();
    for cut in (1..body).step_by(3) {
        let mut wire = Wire::connect(node.addresses().smtp).await?;
        wire.send(&dialogue.as_bytes()[..cut]).await?;
        drop(wire);
    }
    let mut imap = imap(&node, ALICE).await?;
    let status = imap.run("STATUS \"INBOX\" (MESSAGES)").await?.ok()?;
    assert_eq!(status.untagged, ["STATUS \"INBOX\" (MESSAGES 0)"]);
    node.finish().await
}

#[tokio::test]
async fn deep_mime_is_stored_and_described() -> anyhow::Result<()> {
    let node = start().await?;
    let mut deep = "From: s@outside.test\r\nSubject: deep\r\nMIME-Version: 1.0\r\n".to_owned();
    for level in 0..1000 {
        deep.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
        ));
    }
    deep.push_str("Content-Type: text/plain\r\n\r\nbottom\r\n");
    deliver(&node, ALICE, &deep).await?;
    let mut imap = imap(&node, ALICE).await?;
    imap.run("SELECT INBOX").await?.ok()?;
    let structure = imap.run("FETCH 1 (BODYSTRUCTURE ENVELOPE)").await?.ok()?;
    assert!(structure.untagged[0].contains("deep"));
    let body = imap.run("FETCH 1 BODY.PEEK[]").await?.ok()?;
    assert!(body.untagged[0].contains("bottom"));
    node.finish().await
}

#[tokio::test]
async fn a_hundred_thousand_recipients_are_limited() -> anyhow::Result<()> {
    let node = start().await?;
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    smtp.expect(250, "MAIL FROM:<s@outside.test>").await?;
    let rcpt = format!("RCPT TO:<{ALICE}>\r\n").repeat(100);
    let mut refused = 0;
    'dialogue: for _ in 0..1000 {
        if smtp.wire.send(&rcpt).await.is_err() {
            break;
        }
        for _ in 0..100 {
            match smtp.reply().await {
                Ok(reply) if reply.code == 250 => {}
                Ok(reply) if matches!(reply.code, 452 | 421) => refused += 1,
                Ok(reply) => panic!("{reply:?}"),
                Err(_) => break 'dialogue,
            }
        }
    }
    assert!(refused > 0);
    deliver(&node, ALICE, &message("still alive", "x")).await?;
    node.finish().await
}

#[tokio::test]
async fn huge_literals_are_refused_before_they_are_read() -> anyhow::Result<()> {
    let node = start().await?;
    let mut session = Imap::connect(node.addresses().imap).await?;
    let refused = session.run("LOGIN {99999999999}").await?;
    assert!(
        refused.status.starts_with("BAD") || refused.status.starts_with("NO"),
        "{refused:?}"
    );
    let mut session = imap(&node, ALICE).await?;
    let refused = session.run("APPEND INBOX {9999999999}").await?;
    assert!(
        refused.status.starts_with("NO [") || refused.status.starts_with("BAD"),
        "{refused:?}"
    );
    session.run("NOOP").await?.ok()?;
    node.finish().await
}
