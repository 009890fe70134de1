//! Where bodies lie: inline, packed, single; and a store that goes away.

use std::time::Duration;

use crate::{ALICE, deliver, imap, message, start};

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
