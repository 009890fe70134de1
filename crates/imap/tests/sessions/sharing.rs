//! Several sessions on one mailbox, IDLE, and what happens under a session's feet.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{PASSWORD, USER, World};

const MESSAGE: &str = "Subject: x\r\n\r\nbody\r\n";

#[tokio::test]
async fn sessions_see_each_others_changes() {
    let world = World::with(&[MESSAGE, MESSAGE, MESSAGE]).await;
    let (mut one, mut two) = (world.inbox().await, world.inbox().await);
    one.ok("STORE 1 +FLAGS (\\Flagged)").await;
    one.ok("STORE 2 +FLAGS.SILENT (\\Deleted)").await;
    one.ok("EXPUNGE").await;
    world.deliver(MESSAGE).await;
    // No EXPUNGE while numbers are in flight; flags and new messages are told.
    let told = two.run("FETCH 3 UID").await;
    assert_eq!(
        told,
        [
            "* 3 FETCH (UID 3)",
            "* 1 FETCH (UID 1 FLAGS (\\Flagged))",
            "* 4 EXISTS",
            "* 1 RECENT",
            "OK FETCH completed",
        ]
    );
    // The number of the removed message still is its own.
    let told = two.run("FETCH 2 FLAGS").await;
    assert_eq!(
        told,
        ["NO [EXPUNGEISSUED] some of the messages no longer exist"]
    );
    assert_eq!(two.ok("NOOP").await, ["* 2 EXPUNGE"]);
    assert_eq!(
        two.ok("FETCH 2:3 UID").await,
        ["* 2 FETCH (UID 3)", "* 3 FETCH (UID 4)"]
    );
    // Told once.
    assert!(two.ok("NOOP").await.is_empty());
    let told = one.ok("UID FETCH 4 UID").await;
    // The first to select claimed the two that are left.
    assert_eq!(told, ["* 3 EXISTS", "* 3 RECENT"]);
    world.check().await;
}

#[tokio::test]
async fn a_silent_store_does_not_hide_what_others_did() {
    let world = World::with(&[MESSAGE]).await;
    let (mut one, mut two) = (world.inbox().await, world.inbox().await);
    two.ok("STORE 1 +FLAGS.SILENT (\\Flagged)").await;
    let told = one.ok("STORE 1 +FLAGS.SILENT (\\Seen)").await;
    assert_eq!(told, ["* 1 FETCH (UID 1 FLAGS (\\Flagged \\Recent))"]);
    assert_eq!(
        two.ok("NOOP").await,
        ["* 1 FETCH (UID 1 FLAGS (\\Seen \\Flagged))"]
    );
    world.check().await;
}

#[tokio::test]
async fn a_number_without_a_message_fails_a_copy() {
    let refused = "NO [EXPUNGEISSUED] some of the messages no longer exist";
    // A COPY is done as a whole; what a MOVE moved is told and stays moved.
    for (command, copied) in [
        ("COPY 1:3", 0),
        ("COPY 2", 0),
        ("MOVE 2", 0),
        ("MOVE 1:3", 2),
    ] {
        let world = World::with(&[MESSAGE, MESSAGE, MESSAGE]).await;
        let (mut one, mut two) = (world.inbox().await, world.inbox().await);
        one.ok("CREATE Other").await;
        one.ok("STORE 2 +FLAGS.SILENT (\\Deleted)").await;
        one.ok("EXPUNGE").await;
        let told = two.run(&format!("{command} Other")).await;
        assert_eq!(told.last().unwrap(), refused, "{command}");
        let moved = told.iter().any(|line| line.contains("[COPYUID "));
        assert_eq!(moved, copied > 0, "{told:?}");
        let status = one.ok("STATUS Other (MESSAGES)").await;
        let want = format!("* STATUS \"Other\" (MESSAGES {copied})");
        assert_eq!(status[0], want, "{command}");
        world.check().await;
    }
}

#[tokio::test]
async fn idle_tells_changes_at_once() {
    let world = World::with(&[MESSAGE]).await;
    let (mut idle, mut other) = (world.inbox().await, world.inbox().await);
    let tag = idle.start("IDLE").await;
    assert_eq!(idle.response().await, "+ idling");
    world.deliver(MESSAGE).await;
    assert_eq!(idle.response().await, "* 2 EXISTS");
    assert_eq!(idle.response().await, "* 2 RECENT");
    other.ok("NOOP").await;
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(
        idle.response().await,
        "* 1 FETCH (UID 1 FLAGS (\\Deleted \\Recent))"
    );
    other.ok("EXPUNGE").await;
    assert_eq!(idle.response().await, "* 1 EXPUNGE");
    idle.send(b"DONE\r\n").await;
    assert_eq!(idle.until(&tag).await, ["OK IDLE ended"]);
    let tag = idle.start("IDLE").await;
    idle.response().await;
    idle.send(b"NOOP\r\n").await;
    assert!(idle.until(&tag).await[0].starts_with("BAD "));
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn idle_says_that_it_lives_and_ends_after_half_an_hour() {
    let world = World::new().await;
    let mut imap = world.inbox().await;
    imap.start("IDLE").await;
    assert_eq!(imap.response().await, "+ idling");
    for _ in 0..14 {
        assert_eq!(imap.response().await, "* OK still here");
    }
    let mut last = imap.response().await;
    if last == "* OK still here" {
        last = imap.response().await;
    }
    assert!(last.starts_with("* BYE "), "{last}");
    imap.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_suspended_account_loses_its_sessions() {
    let world = World::with(&[MESSAGE]).await;
    let (mut waiting, mut idle) = (world.inbox().await, world.inbox().await);
    idle.start("IDLE").await;
    assert_eq!(idle.response().await, "+ idling");
    tokio::time::advance(Duration::from_secs(31)).await;
    waiting.ok("NOOP").await;
    world.suspend().await;
    tokio::time::advance(Duration::from_secs(31)).await;
    waiting.start("FETCH 1 BODY[]").await;
    let bye = "* BYE this account is closed; ask your administrator";
    assert_eq!(waiting.response().await, bye);
    waiting.closed().await;
    assert_eq!(idle.response().await, bye);
    idle.closed().await;
    let mut late = world.connect().await;
    let reply = late.reply(&format!("LOGIN {USER} \"{PASSWORD}\"")).await;
    assert!(reply.starts_with("NO [CONTACTADMIN] "), "{reply}");
}

#[tokio::test]
async fn a_drain_ends_sessions_between_commands_and_in_idle() {
    let world = World::new().await;
    let (mut waiting, mut idle) = (world.inbox().await, world.inbox().await);
    idle.start("IDLE").await;
    assert_eq!(idle.response().await, "+ idling");
    world.drain.start();
    for imap in [&mut waiting, &mut idle] {
        assert_eq!(
            imap.response().await,
            "* BYE the server is shutting down, connect again"
        );
    }
    waiting.closed().await;
    idle.closed().await;
    world.check().await;
}

#[tokio::test]
async fn a_deleted_mailbox_ends_its_sessions() {
    let world = World::new().await;
    let (mut one, mut two) = (world.login().await, world.login().await);
    one.ok("CREATE Doomed").await;
    one.ok("SELECT Doomed").await;
    two.ok("SELECT Doomed").await;
    let told = one.ok("DELETE Doomed").await;
    assert!(told[0].starts_with("* OK [CLOSED]"), "{told:?}");
    assert_eq!(one.reply("CHECK").await, "BAD select a mailbox first");
    two.start("NOOP").await;
    assert_eq!(
        two.response().await,
        "* BYE the selected mailbox was deleted"
    );
    two.closed().await;
    world.check().await;
}

#[tokio::test]
async fn a_session_older_than_the_change_log_catches_up() {
    let world = World::with(&[MESSAGE, MESSAGE, MESSAGE]).await;
    let (mut one, mut two) = (world.inbox().await, world.inbox().await);
    one.ok("STORE 2 +FLAGS.SILENT (\\Deleted)").await;
    one.ok("EXPUNGE").await;
    world.clock.advance(Duration::from_secs(31 * 24 * 3600));
    world.trim().await;
    one.ok("STORE 1 +FLAGS.SILENT (\\Seen)").await;
    world.deliver(MESSAGE).await;
    // Nothing can be told while numbers are in flight.
    assert_eq!(two.ok("FETCH 3 UID").await, ["* 3 FETCH (UID 3)"]);
    assert_eq!(
        two.ok("NOOP").await,
        [
            "* 1 FETCH (UID 1 FLAGS (\\Seen))",
            "* 2 EXPUNGE",
            "* 3 EXISTS",
            "* 1 RECENT",
        ]
    );
    assert!(two.ok("NOOP").await.is_empty());
    assert_eq!(two.ok("FETCH 1:* UID").await.len(), 3);
    world.check().await;
}

#[tokio::test]
async fn a_session_survives_a_store_that_is_away() {
    let world = World::with(&[MESSAGE]).await;
    let mut imap = world.inbox().await;
    world.switch.away.store(true, Ordering::Relaxed);
    for command in [
        "NOOP",
        "FETCH 1 FLAGS",
        "STORE 1 +FLAGS (\\Seen)",
        "STATUS INBOX (MESSAGES)",
        "APPEND INBOX {3}",
    ] {
        let all = imap.run(command).await;
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(all[0].starts_with("NO [UNAVAILABLE]"), "{command}: {all:?}");
    }
    world.switch.away.store(false, Ordering::Relaxed);
    world.deliver(MESSAGE).await;
    assert_eq!(imap.ok("NOOP").await, ["* 2 EXISTS", "* 2 RECENT"]);
    world.check().await;
}

#[tokio::test]
async fn a_renamed_mailbox_stays_selected() {
    let world = World::new().await;
    let mut imap = world.login().await;
    imap.ok("CREATE Old").await;
    imap.ok("SELECT Old").await;
    imap.ok("RENAME Old New").await;
    assert!(imap.append("New", MESSAGE).await.starts_with("OK "));
    assert_eq!(
        imap.ok("FETCH 1 FLAGS").await,
        ["* 1 FETCH (FLAGS (\\Recent))"]
    );
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_session() {
    let mut world = World::new().await;
    world.settings.idle_timeout = Duration::from_secs(1800);
    let mut imap = world.login().await;
    assert!(imap.response().await.starts_with("* BYE you were silent"));
    imap.closed().await;
    let mut imap = world.connect().await;
    assert_eq!(imap.response().await, "* BYE the login took too long");
    imap.closed().await;
}
