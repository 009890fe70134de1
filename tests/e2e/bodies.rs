//! Where bodies lie: inline, packed, single; and a store that goes away.

use std::time::Duration;

use postrider_tests::{Imap, Node, Smtp};

use crate::{ALICE, deliver, imap, message, pop3, start};

#[tokio::test]
async fn packed_bodies_read_as_before() -> anyhow::Result<()> {
    let node = start().await?;
    for number in 0..50 {
        let body = format!("body {number}\r\n").repeat(200);
        deliver(&node, ALICE, &message(&format!("m{number}"), &body)).await?;
    }
    let mut imap = imap(&node, ALICE).await?;
    imap.run("SELECT INBOX").await?.ok()?;
    let before = imap.run("FETCH 1:* BODY.PEEK[]").await?.ok()?.untagged;
    // The harness packs after one second; the metric tells when nothing is inline.
    while node.metric("postrider_body_inline_bytes").await? > 0.0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let after = imap.run("FETCH 1:* BODY.PEEK[]").await?.ok()?.untagged;
    assert_eq!(after, before);
    node.finish().await
}

/// A message of about `kilobytes` that does not compress.
fn noise(subject: &str, kilobytes: usize) -> String {
    let mut body = String::new();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    while body.len() < kilobytes * 1024 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        body.push_str(&format!("{:016x}{:016x}\r\n", seed, seed.rotate_left(29)));
    }
    message(subject, &body)
}

/// Delivers and answers the reply's code.
async fn try_to_deliver(node: &Node, message: &str) -> anyhow::Result<u16> {
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    Ok(smtp
        .deliver("stranger@outside.test", ALICE, message)
        .await?
        .code)
}

/// INBOX, freshly selected.
async fn inbox(node: &Node) -> anyhow::Result<Imap> {
    let mut imap = imap(node, ALICE).await?;
    imap.run("SELECT INBOX").await?.ok()?;
    Ok(imap)
}

#[tokio::test]
async fn without_its_store_the_node_takes_small_mail_up_to_the_budget() -> anyhow::Result<()> {
    // A folder as the store, whatever the other tests use: a test can take it away.
    let store = tempfile::tempdir()?;
    let folder = store.path().join("bodies");
    let node = Node::start_with(
        env!("CARGO_BIN_EXE_postrider-under-test"),
        &[
            ("POSTRIDER__BODY__INLINE_BUDGET", "1MiB"),
            ("POSTRIDER__BLOB__FOLDER", &folder.to_string_lossy()),
            ("POSTRIDER__BLOB__CACHE_SIZE", "0"),
            ("POSTRIDER__BLOB__DEADLINE", "1s"),
            ("POSTRIDER__BLOB__PROBE_PAUSE", "200ms"),
        ],
    )
    .await?;
    let large = noise("large", 200);
    deliver(&node, ALICE, &large).await?;

    let away = store.path().join("away");
    std::fs::rename(&folder, &away)?;
    std::fs::write(&folder, "in the way")?;
    assert_eq!(try_to_deliver(&node, &noise("refused", 200)).await?, 451);
    let mut accepted = 0;
    let refused = loop {
        match try_to_deliver(&node, &noise(&format!("small{accepted}"), 50)).await? {
            250 => accepted += 1,
            code => break code,
        }
        assert!(accepted < 100, "the budget does not end");
    };
    assert_eq!(refused, 451);
    assert!(accepted >= 10, "only {accepted} were taken");
    let mut session = inbox(&node).await?;
    let appended = session.append("INBOX", "", &noise("appended", 50)).await?;
    assert!(
        appended.status.starts_with("NO [UNAVAILABLE]"),
        "{}",
        appended.status
    );
    let unread = session.run("FETCH 1 BODY.PEEK[]").await?;
    assert!(unread.status.starts_with("NO [UNAVAILABLE]"), "{unread:?}");
    session.run("FETCH 2 BODY.PEEK[]").await?.ok()?;
    session
        .run("FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)")
        .await?
        .ok()?;
    assert!(
        pop3(&node, ALICE)
            .await?
            .run("RETR 1")
            .await?
            .starts_with("-ERR [SYS/TEMP]")
    );
    let (status, ready) = node.http("/healthz/ready").await?;
    assert!(status == 200 && ready.contains("degraded"), "{ready}");

    std::fs::remove_file(&folder)?;
    std::fs::rename(&away, &folder)?;
    // The node notices by itself, and packs what waited.
    while node.metric("postrider_body_inline_bytes").await? > 0.0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    deliver(&node, ALICE, &noise("again", 200)).await?;
    let mut session = inbox(&node).await?;
    let all = session.run("FETCH 1:* BODY.PEEK[]").await?.ok()?.untagged;
    assert_eq!(all.len(), accepted + 2);
    assert!(all[0].contains(&large));
    node.finish().await
}
