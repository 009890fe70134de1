//! Bad input, and what a session weighs.

use std::time::Duration;

use postrider_net::Service as _;
use tokio::time::{Instant, timeout};

use crate::support::World;

#[tokio::test]
async fn nonsense_is_answered_and_counted() {
    let mut world = World::new().await;
    world.settings.max_bad_commands = 6;
    let mut imap = world.connect().await;
    for line in ["", "x", "x FROBNICATE", "x LOGIN a", "x NO\0OP"] {
        imap.send(format!("{line}\r\n").as_bytes()).await;
        let reply = imap.response().await;
        assert!(reply.contains(" BAD "), "{line}: {reply}");
    }
    imap.ok("NOOP").await;
    for _ in 0..6 {
        imap.send(b"GET / HTTP/1.1\r\n").await;
        assert!(imap.response().await.contains(" BAD "));
    }
    assert!(imap.response().await.starts_with("* BYE too many"));
    imap.closed().await;
}

#[tokio::test]
async fn a_long_line_ends_the_session() {
    let world = World::new().await;
    let mut imap = world.connect().await;
    imap.send(format!("x LOGIN {}", "a".repeat(40_000)).as_bytes())
        .await;
    assert!(imap.response().await.starts_with("x BAD "));
    assert!(imap.response().await.starts_with("* BYE "));
    imap.closed().await;
}

#[tokio::test]
async fn huge_literals_are_refused() {
    let world = World::new().await;
    let mut imap = world.connect().await;
    let reply = imap.reply("LOGIN {999999999999999999999}").await;
    assert!(reply.starts_with("BAD "), "{reply}");
    imap.send(b"x LOGIN {99999999+}\r\n").await;
    assert!(imap.response().await.starts_with("x BAD "));
    assert!(imap.response().await.starts_with("* BYE "));
    imap.closed().await;

    let mut imap = world.login().await;
    let reply = imap.reply("APPEND INBOX {999999999999}").await;
    assert!(reply.starts_with("NO [TOOBIG]"), "{reply}");
    imap.start("APPEND INBOX {999999999999+}").await;
    assert!(imap.response().await.starts_with("* BYE "));
    imap.closed().await;
    world.check().await;
}

#[tokio::test]
async fn a_refused_append_is_skipped_in_step() {
    let mut world = World::new().await;
    world.settings.max_message_size = 1000;
    let mut imap = world.login().await;
    let reply = imap.append("INBOX", &"x".repeat(1500)).await;
    assert!(reply.starts_with("NO [TOOBIG]"), "{reply}");
    let reply = imap.append("INBOX (\\Frob)", "x").await;
    assert!(reply.starts_with("BAD "), "{reply}");
    let reply = imap.append("INBOX", "Subject: fits\r\n\r\n").await;
    assert!(reply.starts_with("OK "), "{reply}");
    let two = " {3+}\r\na\0b {3+}\r\nabc";
    let reply = imap.reply(&format!("APPEND INBOX{two}")).await;
    assert!(reply.starts_with("NO [CANNOT]"), "{reply}");
    imap.ok("NOOP").await;
    assert_eq!(
        imap.ok("STATUS INBOX (MESSAGES)").await,
        ["* STATUS \"INBOX\" (MESSAGES 1)"]
    );
    world.check().await;
}

#[tokio::test]
async fn a_client_that_leaves_within_a_message_leaves_nothing() {
    let world = World::new().await;
    let mut imap = world.login().await;
    imap.start("APPEND INBOX {1000+}\r\nhalf").await;
    drop(imap.stream);
    let mut imap = world.login().await;
    assert_eq!(
        imap.ok("STATUS INBOX (MESSAGES)").await,
        ["* STATUS \"INBOX\" (MESSAGES 0)"]
    );
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_too_slowly_ends_the_session() {
    let world = World::new().await;
    let mut imap = world.inbox().await;
    imap.start("APPEND INBOX {1000000}").await;
    assert!(imap.response().await.starts_with("+ "));
    imap.send(&[b'x'; 500_000]).await;
    let began = Instant::now();
    let bye = loop {
        imap.send(b"x").await;
        if let Ok(bye) = timeout(Duration::from_secs(20), imap.response()).await {
            break bye;
        }
    };
    assert_eq!(bye, "* BYE the data comes too slowly, connect again");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(150), "{took:?}");
    imap.closed().await;
    world.check().await;
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let world = World::new().await;
    let mut imap = world.login().await;
    imap.send(b"a SELECT INBOX\r\nb NOOP\r\nc STATUS INBOX (MESSAGES)\r\nd CLOSE\r\n")
        .await;
    for tag in ["a", "b", "c", "d"] {
        let all = imap.until(&format!("{tag} ")).await;
        assert!(all.last().unwrap().starts_with("OK "), "{all:?}");
    }
}

#[tokio::test]
async fn a_session_is_small() {
    let world = World::new().await;
    let (_client, connection) = world.connection();
    let server = world.server();
    let session = server.serve(connection, world.drain.clone());
    let size = size_of_val(&session);
    println!("the future of a session has {size} bytes");
    assert!(size < 4096, "{size} bytes");
}
