//! A node that is stopped, killed and started again goes on with the same mail.

use crate::{ALICE, deliver, imap, message, start};

#[tokio::test]
async fn mail_and_flags_outlive_a_stop_and_a_kill() -> anyhow::Result<()> {
    let mut node = start().await?;
    deliver(&node, ALICE, &message("small", "x")).await?;
    deliver(
        &node,
        ALICE,
        &message("large", &"0123456789\r\n".repeat(20_000)),
    )
    .await?;
    let mut session = imap(&node, ALICE).await?;
    let selected = session.run("SELECT INBOX").await?.ok()?;
    let validity = selected.with("UIDVALIDITY").next().map(str::to_owned);
    session
        .run("STORE 1 +FLAGS (\\Answered kept)")
        .await?
        .ok()?;
    let before = session
        .run("FETCH 1:* (UID BODY.PEEK[])")
        .await?
        .ok()?
        .untagged;

    for kill in [true, false] {
        if kill {
            node.kill().await?;
        } else {
            node.stop().await?;
        }
        node.start_again().await?;
        let mut session = imap(&node, ALICE).await?;
        let selected = session.run("SELECT INBOX").await?.ok()?;
        assert_eq!(
            selected.with("UIDVALIDITY").next().map(str::to_owned),
            validity
        );
        let after = session
            .run("FETCH 1:* (UID BODY.PEEK[])")
            .await?
            .ok()?
            .untagged;
        assert_eq!(after, before);
        assert_eq!(
            session
                .run("SEARCH ANSWERED KEYWORD kept")
                .await?
                .ok()?
                .search()?,
            [1]
        );
    }
    node.finish().await
}

#[tokio::test]
async fn sigterm_says_goodbye_to_idle_sessions() -> anyhow::Result<()> {
    let mut node = start().await?;
    let mut session = imap(&node, ALICE).await?;
    session.run("SELECT INBOX").await?.ok()?;
    session.send("IDLE").await?;
    assert!(session.response().await?.starts_with('+'));
    node.stop().await?;
    let goodbye = String::from_utf8_lossy(&session.wire.to_end().await?).into_owned();
    assert!(goodbye.contains("* BYE"), "{goodbye:?}");
    node.start_again().await?;
    node.finish().await
}
