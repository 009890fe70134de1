//! Sessions while no majority of the metadata answers: what is known is shown,
//! read-only, and the client is told when that begins and ends.

use crate::support::{PASSWORD, USER, World};

const MESSAGE: &str = "From: a@b.test\r\nSubject: known\r\n\r\nhello\r\n";
const BEGINS: &str = "* OK [ALERT] the mail servers have lost touch";
const ENDS: &str = "* OK [ALERT] the mail servers are in touch again";

/// A world whose sessions are served what is known.
async fn world() -> World {
    let mut world = World::with(&[MESSAGE, MESSAGE]).await;
    world.handles.meta = world.handles.meta.clone().serving_stale();
    world.handles.auth = world.handles.auth.serving_stale();
    world
}

/// Expects responses that begin so, and no others.
fn begin(all: &[String], starts: &[&str]) {
    assert_eq!(all.len(), starts.len(), "{all:?}");
    for (line, start) in all.iter().zip(starts) {
        assert!(line.starts_with(start), "{start}: {all:?}");
    }
}

#[tokio::test]
async fn an_open_session_turns_read_only_and_back() {
    let world = world().await;
    let mut imap = world.inbox().await;
    world.switch.cut_off(true);
    let told = imap.ok("FETCH 1 (FLAGS BODY[TEXT])").await;
    // Shown, but not marked as seen, as that could not be kept.
    let fetched = "* 1 FETCH (FLAGS (\\Recent) BODY[TEXT] {7}";
    begin(&told, &[BEGINS, "* OK [READ-ONLY]", fetched]);
    for command in [
        "STORE 1 +FLAGS (\\Seen)",
        "COPY 1 Trash",
        "MOVE 1 Trash",
        "EXPUNGE",
        "CREATE New",
        "APPEND INBOX {3}",
    ] {
        let all = imap.run(command).await;
        assert_eq!(all.len(), 1, "told once: {all:?}");
        assert!(all[0].starts_with("NO [UNAVAILABLE]"), "{command}: {all:?}");
    }
    assert_eq!(imap.ok("NOOP").await, Vec::<String>::new());
    assert_eq!(imap.ok("SEARCH ALL").await, ["* SEARCH 1 2"]);
    world.switch.cut_off(false);
    world.deliver(MESSAGE).await;
    let told = imap.ok("NOOP").await;
    begin(
        &told,
        &[ENDS, "* OK [READ-WRITE]", "* 3 EXISTS", "* 3 RECENT"],
    );
    imap.ok("STORE 1 +FLAGS (\\Seen)").await;
    world.check().await;
}

#[tokio::test]
async fn a_new_session_reads_what_is_known() {
    let world = world().await;
    world.switch.cut_off(true);
    let mut imap = world.connect().await;
    let wrong = imap.reply(&format!("LOGIN {USER} wrong")).await;
    assert!(wrong.starts_with("NO [AUTHENTICATIONFAILED]"), "{wrong}");
    let told = imap.ok(&format!("LOGIN {USER} \"{PASSWORD}\"")).await;
    begin(&told, &[BEGINS]);
    let listed = imap.ok("LIST \"\" INBOX").await;
    begin(&listed, &["* LIST"]);
    let all = imap.run("SELECT INBOX").await;
    let tagged = all.last().unwrap();
    assert!(tagged.starts_with("OK [READ-ONLY] "), "{all:?}");
    let none = "* OK [PERMANENTFLAGS ()]";
    assert!(all.iter().any(|line| line.starts_with(none)), "{all:?}");
    assert_eq!(imap.ok("FETCH 1:* UID").await.len(), 2);
    // Nothing was removed, and none is told to be.
    imap.ok("CLOSE").await;
    imap.ok("SELECT INBOX").await;
    world.switch.cut_off(false);
    begin(&imap.ok("NOOP").await, &[ENDS, "* OK [READ-WRITE]"]);
    imap.ok("STORE 1 +FLAGS (\\Deleted)").await;
    assert_eq!(imap.ok("EXPUNGE").await, ["* 1 EXPUNGE"]);
    world.check().await;
}

#[tokio::test]
async fn idle_tells_of_it_by_itself() {
    let world = world().await;
    let mut imap = world.inbox().await;
    let tag = imap.start("IDLE").await;
    assert_eq!(imap.response().await, "+ idling");
    world.switch.cut_off(true);
    begin(&[imap.response().await], &[BEGINS]);
    begin(&[imap.response().await], &["* OK [READ-ONLY]"]);
    world.switch.cut_off(false);
    begin(&[imap.response().await], &[ENDS]);
    begin(&[imap.response().await], &["* OK [READ-WRITE]"]);
    imap.send(b"DONE\r\n").await;
    assert_eq!(imap.until(&tag).await.len(), 1);
    world.check().await;
}

#[tokio::test]
async fn who_wants_no_old_answers_gets_none() {
    let world = World::with(&[MESSAGE]).await;
    let mut imap = world.inbox().await;
    world.switch.cut_off(true);
    for command in ["NOOP", "STATUS INBOX (MESSAGES)", "STORE 1 +FLAGS (\\Seen)"] {
        let all = imap.run(command).await;
        begin(&all, &["NO [UNAVAILABLE]"]);
    }
    let mut late = world.connect().await;
    let refused = late.reply(&format!("LOGIN {USER} \"{PASSWORD}\"")).await;
    assert!(refused.starts_with("NO [UNAVAILABLE]"), "{refused}");
    world.switch.cut_off(false);
    imap.ok("NOOP").await;
    world.check().await;
}
