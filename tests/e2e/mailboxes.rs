//! IMAP: mailboxes, several sessions, large messages.

use postrider_tests::Imap;

use crate::{ALICE, BOB, PASSWORD, deliver, imap, message, start};

#[tokio::test]
async fn a_new_account_has_its_folders() -> anyhow::Result<()> {
    let node = start().await?;
    let mut imap = imap(&node, ALICE).await?;
    let list = imap.run("LIST \"\" *").await?.ok()?;
    for (attribute, name) in [
        ("", "INBOX"),
        ("\\Drafts", "Drafts"),
        ("\\Sent", "Sent"),
        ("\\Trash", "Trash"),
    ] {
        assert!(
            list.with(name).any(|line| line.contains(attribute)),
            "{list:?}"
        );
    }
    node.finish().await
}

#[tokio::test]
async fn two_sessions_see_each_others_changes() -> anyhow::Result<()> {
    let node = start().await?;
    for subject in ["one", "two", "three"] {
        deliver(&node, ALICE, &message(subject, "x")).await?;
    }
    let mut first = imap(&node, ALICE).await?;
    let mut second = imap(&node, ALICE).await?;
    first.run("SELECT INBOX").await?.ok()?;
    second.run("SELECT INBOX").await?.ok()?;

    first.run("STORE 2 +FLAGS (\\Flagged work)").await?.ok()?;
    let noop = second.run("NOOP").await?.ok()?;
    assert!(
        noop.with("2 FETCH").any(|line| line.contains("\\Flagged")),
        "{noop:?}"
    );

    first.run("STORE 1 +FLAGS.SILENT \\Deleted").await?.ok()?;
    assert_eq!(first.run("EXPUNGE").await?.ok()?.untagged, ["1 EXPUNGE"]);
    // RFC 3501 §7.4.1: no EXPUNGE is told during FETCH, STORE and SEARCH.
    let fetch = second.run("FETCH 3 UID").await?;
    assert!(fetch.with("EXPUNGE").next().is_none(), "{fetch:?}");
    let noop = second.run("NOOP").await?.ok()?;
    assert!(noop.untagged.contains(&"1 EXPUNGE".to_owned()), "{noop:?}");
    assert_eq!(
        second.run("SEARCH KEYWORD work").await?.ok()?.search()?,
        [1]
    );
    node.finish().await
}

#[tokio::test]
async fn idle_tells_of_new_mail() -> anyhow::Result<()> {
    let node = start().await?;
    let mut imap = imap(&node, ALICE).await?;
    imap.run("SELECT INBOX").await?.ok()?;
    let tag = imap.send("IDLE").await?;
    assert!(imap.response().await?.starts_with('+'));
    deliver(&node, ALICE, &message("wake", "x")).await?;
    while imap.response().await? != "* 1 EXISTS" {}
    imap.wire.send("DONE\r\n").await?;
    imap.until(&tag).await?.ok()?;
    node.finish().await
}

#[tokio::test]
async fn a_large_message_is_appended_fetched_in_parts_and_copied() -> anyhow::Result<()> {
    let node = start().await?;
    let mut imap = imap(&node, ALICE).await?;
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n";
    let large = message("large", &line.repeat(150_000));
    let appended = imap.append("Archive", "\\Seen", &large).await?.ok()?;
    assert!(
        appended.status.contains("[APPENDUID "),
        "{}",
        appended.status
    );
    imap.run("SELECT Archive").await?.ok()?;
    let size = imap.run("FETCH 1 RFC822.SIZE").await?.ok()?;
    assert_eq!(
        size.untagged,
        [format!("1 FETCH (RFC822.SIZE {})", large.len())]
    );
    let whole = imap.run("FETCH 1 BODY.PEEK[]").await?.ok()?;
    assert!(whole.untagged[0].ends_with(&format!("{large})")));
    let part = imap.run("FETCH 1 BODY.PEEK[]<5000000.100>").await?.ok()?;
    assert!(part.untagged[0].contains(&large[5_000_000..5_000_100]));
    imap.run("COPY 1 Trash").await?.ok()?;
    imap.run("STORE 1 +FLAGS \\Deleted").await?.ok()?;
    imap.run("EXPUNGE").await?.ok()?;
    imap.run("SELECT Trash").await?.ok()?;
    let copy = imap.run("FETCH 1 BODY.PEEK[]").await?.ok()?;
    assert!(copy.untagged[0].ends_with(&format!("{large})")));
    node.finish().await
}

#[tokio::test]
async fn a_move_keeps_flags_and_tells_the_new_uids() -> anyhow::Result<()> {
    let node = start().await?;
    deliver(&node, BOB, &message("moved", "x")).await?;
    let mut imap = imap(&node, BOB).await?;
    imap.run("SELECT INBOX").await?.ok()?;
    imap.run("STORE 1 FLAGS (\\Seen $Forwarded)").await?.ok()?;
    let moved = imap.run("MOVE 1 Junk").await?.ok()?;
    assert!(moved.with("COPYUID").next().is_some(), "{moved:?}");
    assert!(
        moved.untagged.contains(&"1 EXPUNGE".to_owned()),
        "{moved:?}"
    );
    imap.run("SELECT Junk").await?.ok()?;
    let flags = imap.run("FETCH 1 FLAGS").await?.ok()?;
    assert!(flags.untagged[0].contains("\\Seen") && flags.untagged[0].contains("$Forwarded"));
    node.finish().await
}

#[tokio::test]
async fn tls_is_offered_and_needed_from_elsewhere() -> anyhow::Result<()> {
    let node = start().await?;
    let mut plain = Imap::connect(node.addresses().imap).await?;
    let capability = plain.run("CAPABILITY").await?.ok()?;
    assert!(
        capability.with("STARTTLS").next().is_some(),
        "{capability:?}"
    );
    let mut imap = plain.start_tls(node.authority()).await?;
    imap.run(&format!("LOGIN {ALICE} {PASSWORD}")).await?.ok()?;
    let mut imap = Imap::connect_tls(node.addresses().imaps, node.authority()).await?;
    assert!(
        imap.run(&format!("LOGIN {ALICE} wrong"))
            .await?
            .status
            .starts_with("NO")
    );
    imap.run(&format!("LOGIN {ALICE} {PASSWORD}")).await?.ok()?;
    node.finish().await
}
