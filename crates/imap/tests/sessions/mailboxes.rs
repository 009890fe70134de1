//! Commands about mailboxes.

use postrider_meta::QuotaLimit;

use crate::support::World;

const MESSAGE: &str = "Subject: x\r\n\r\nbody\r\n";

#[tokio::test]
async fn mailboxes_are_made_listed_renamed_and_deleted() {
    let world = World::new().await;
    let mut imap = world.login().await;
    imap.ok("CREATE Work/2024/").await;
    imap.ok("CREATE \"Entw&APw-rfe\" (USE (\\Drafts))").await;
    let reply = imap.reply("CREATE Work").await;
    assert!(reply.starts_with("NO [ALREADYEXISTS]"), "{reply}");
    let reply = imap.reply("CREATE All (USE (\\All))").await;
    assert!(reply.starts_with("NO [USEATTR]"), "{reply}");

    assert_eq!(
        imap.ok("LIST \"\" \"\"").await,
        ["* LIST (\\Noselect) \"/\" \"\""]
    );
    let listed = imap.ok("LIST \"\" %").await;
    assert!(
        listed.contains(&"* LIST (\\HasNoChildren) \"/\" \"INBOX\"".to_owned()),
        "{listed:?}"
    );
    assert!(
        listed.contains(&"* LIST (\\HasChildren) \"/\" \"Work\"".to_owned()),
        "{listed:?}"
    );
    let drafts = "* LIST (\\HasNoChildren \\Drafts) \"/\" \"Entw&APw-rfe\"";
    assert!(listed.contains(&drafts.to_owned()), "{listed:?}");
    assert!(
        !listed.iter().any(|line| line.contains("2024")),
        "{listed:?}"
    );
    assert_eq!(
        imap.ok("LIST Work/ %").await,
        ["* LIST (\\HasNoChildren) \"/\" \"Work/2024\""]
    );
    let special = imap.ok("LIST (SPECIAL-USE) \"\" *").await;
    assert!(special.contains(&drafts.to_owned()), "{special:?}");
    assert!(
        !special.iter().any(|line| line.contains("Work")),
        "{special:?}"
    );

    let reply = imap.reply("DELETE Work").await;
    assert!(reply.starts_with("NO [HASCHILDREN]"), "{reply}");
    imap.ok("RENAME Work Play").await;
    imap.ok("DELETE Play/2024").await;
    imap.ok("DELETE Play").await;
    assert!(imap.ok("LIST \"\" P*").await.is_empty());
    for (command, code) in [
        ("DELETE INBOX", "NO"),
        ("DELETE Nowhere", "NO [NONEXISTENT]"),
        ("RENAME Nowhere x", "NO [NONEXISTENT]"),
        ("SELECT Nowhere", "NO [NONEXISTENT]"),
        ("STATUS Nowhere (MESSAGES)", "NO [NONEXISTENT]"),
    ] {
        let reply = imap.reply(command).await;
        assert!(reply.starts_with(code), "{command}: {reply}");
    }
    assert_eq!(
        imap.ok("NAMESPACE").await,
        ["* NAMESPACE ((\"\" \"/\")) NIL NIL"]
    );
    world.check().await;
}

#[tokio::test]
async fn subscriptions_outlive_mailboxes() {
    let world = World::new().await;
    let mut imap = world.login().await;
    imap.ok("CREATE a/b").await;
    imap.ok("SUBSCRIBE a/b").await;
    imap.ok("SUBSCRIBE a/gone").await;
    assert_eq!(
        imap.ok("LSUB \"\" a/*").await,
        ["* LSUB () \"/\" \"a/b\"", "* LSUB () \"/\" \"a/gone\""]
    );
    // RFC 3501 §6.3.9
    let top = imap.ok("LSUB \"\" %").await;
    assert!(
        top.contains(&"* LSUB (\\Noselect) \"/\" \"a\"".to_owned()),
        "{top:?}"
    );
    let listed = imap.ok("LIST (SUBSCRIBED) \"\" a/*").await;
    assert_eq!(
        listed,
        [
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" \"a/b\"",
            "* LIST (\\NonExistent \\Noselect \\HasNoChildren \\Subscribed) \"/\" \"a/gone\"",
        ]
    );
    let recursive = imap.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" a").await;
    assert_eq!(
        recursive,
        ["* LIST (\\HasChildren) \"/\" \"a\" (\"CHILDINFO\" (\"SUBSCRIBED\"))"]
    );
    imap.ok("UNSUBSCRIBE a/gone").await;
    assert_eq!(imap.ok("LSUB \"\" a/*").await, ["* LSUB () \"/\" \"a/b\""]);
    world.check().await;
}

#[tokio::test]
async fn status_tells_counters() {
    let world = World::with(&[MESSAGE, MESSAGE]).await;
    let mut imap = world.login().await;
    let size = (MESSAGE.len() + crate::support::PREFIX.len()) * 2;
    let items = "MESSAGES RECENT UIDNEXT UNSEEN DELETED SIZE";
    let status = imap.ok(&format!("STATUS inbox ({items})")).await;
    let want = format!(
        "* STATUS \"INBOX\" (MESSAGES 2 RECENT 2 UIDNEXT 3 UNSEEN 2 DELETED 0 SIZE {size})"
    );
    assert_eq!(status, [want]);
    let listed = imap.ok("LIST \"\" INBOX RETURN (STATUS (MESSAGES))").await;
    assert_eq!(listed[1], "* STATUS \"INBOX\" (MESSAGES 2)");
    world.check().await;
}

#[tokio::test]
async fn select_tells_the_mailbox() {
    let world = World::with(&[MESSAGE]).await;
    let mut imap = world.login().await;
    imap.append(
        "INBOX (\\Seen $Work) \"01-Feb-2020 10:00:00 +0100\"",
        MESSAGE,
    )
    .await;
    let told = imap.run("SELECT INBOX").await;
    assert_eq!(
        told[0],
        "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Work)"
    );
    assert_eq!(
        told[1..4],
        [
            "* 2 EXISTS",
            "* 2 RECENT",
            "* OK [UNSEEN 1] the first message not seen"
        ]
    );
    assert!(told[4].starts_with("* OK [PERMANENTFLAGS (") && told[4].contains(" \\*)] "));
    assert!(told[5].starts_with("* OK [UIDNEXT 3] "), "{told:?}");
    assert!(told[6].starts_with("* OK [UIDVALIDITY "), "{told:?}");
    assert!(told[7].starts_with("* OK [HIGHESTMODSEQ "), "{told:?}");
    assert!(told[8].starts_with("OK [READ-WRITE] "), "{told:?}");

    // The first session has claimed them.
    let mut second = world.login().await;
    let told = second.run("EXAMINE INBOX").await;
    assert_eq!(told[1..3], ["* 2 EXISTS", "* 0 RECENT"]);
    assert!(
        told.last().unwrap().starts_with("OK [READ-ONLY] "),
        "{told:?}"
    );
    for command in ["STORE 1 +FLAGS (\\Seen)", "EXPUNGE", "MOVE 1 INBOX"] {
        assert!(
            second.reply(command).await.starts_with("NO [NOPERM]"),
            "{command}"
        );
    }
    second.ok("FETCH 1 BODY[]").await;
    assert_eq!(second.ok("FETCH 1 FLAGS").await, ["* 1 FETCH (FLAGS ())"]);
    let told = second.run("SELECT Nowhere").await;
    assert!(
        told[0].starts_with("* OK [CLOSED]") && told[1].starts_with("NO "),
        "{told:?}"
    );
    assert_eq!(second.reply("CHECK").await, "BAD select a mailbox first");
    world.check().await;
}

#[tokio::test]
async fn quota_is_told_and_kept() {
    let world = World::with(&[MESSAGE]).await;
    let mut imap = world.login().await;
    assert_eq!(
        imap.ok("GETQUOTAROOT INBOX").await,
        [
            "* QUOTAROOT \"INBOX\" \"account\"",
            "* QUOTA \"account\" ()"
        ]
    );
    world
        .set_quota(QuotaLimit {
            bytes: Some(10 * 1024),
            messages: Some(2),
        })
        .await;
    assert_eq!(
        imap.ok("GETQUOTA account").await,
        ["* QUOTA \"account\" (STORAGE 1 10 MESSAGE 1 2)"]
    );
    let reply = imap.append("INBOX", &"x".repeat(11_000)).await;
    assert!(reply.starts_with("NO [OVERQUOTA]"), "{reply}");
    // Refused before the message is sent.
    let reply = imap.reply("APPEND INBOX {11000}").await;
    assert!(reply.starts_with("NO [OVERQUOTA]"), "{reply}");
    assert!(imap.append("INBOX", MESSAGE).await.starts_with("OK "));
    let reply = imap.append("INBOX", MESSAGE).await;
    assert!(reply.starts_with("NO [OVERQUOTA]"), "{reply}");
    imap.ok("SELECT INBOX").await;
    imap.ok("CREATE Other").await;
    let reply = imap.reply("COPY 1:2 Other").await;
    assert!(reply.starts_with("NO [OVERQUOTA]"), "{reply}");
    let reply = imap.reply("SETQUOTA account (STORAGE 1)").await;
    assert!(reply.starts_with("NO [NOPERM]"), "{reply}");
    world.check().await;
}
