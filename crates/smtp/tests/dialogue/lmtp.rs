//! LMTP: one reply per recipient.

use postrider_meta::QuotaLimit;
use postrider_smtp::Role;

use crate::world::World;

#[tokio::test]
async fn each_recipient_has_its_reply() {
    let world = World::new().await;
    let quota = QuotaLimit {
        bytes: Some(2000),
        messages: None,
    };
    world.add_account("small@example.test", quota).await;
    let mut client = world.connect(Role::Lmtp).await;
    client.say("EHLO x", "500 5.5.1").await;
    let lhlo = client.say("LHLO front.example.test", "250").await;
    assert!(!lhlo.contains("AUTH"), "{lhlo}");
    client.say("MAIL FROM:<a@b.example>", "250").await;
    client.say("DATA", "503 5.5.1").await;
    client
        .say("RCPT TO:<nobody@example.test>", "550 5.1.1")
        .await;
    client.say("DATA", "503 5.5.1").await;
    client.say("RCPT TO:<small@example.test>", "250").await;
    client.say("RCPT TO:<ann@example.test>", "250").await;
    client.say("RCPT TO:<ann@example.test>", "250").await;
    client.say("DATA", "354").await;
    client
        .send(format!("A: b\r\n\r\n{}\r\n.\r\n", "x".repeat(3000)))
        .await;
    let reply = client.expect(552).await;
    assert!(reply.starts_with("552 5.2.2"), "{reply}");
    client.expect(250).await;
    client.expect(250).await;
    // All or nothing is told once for each, too.
    client
        .envelope("a@b.example", &["ann@example.test", "bob@example.test"])
        .await;
    client.say("DATA", "354").await;
    client.send("a\nb\r\n.\r\n").await;
    client.expect(554).await;
    client.expect(554).await;
    // And BDAT.
    client
        .envelope("a@b.example", &["ann@example.test", "bob@example.test"])
        .await;
    client.send("BDAT 6\r\nA: b\r\nBDAT 2 LAST\r\n\r\n").await;
    for _ in 0..3 {
        client.expect(250).await;
    }
    client.quit().await;
    let inbox = world.inbox("ann@example.test").await;
    assert_eq!(inbox.len(), 2);
    assert!(
        inbox[0].prefix.contains("with LMTP id"),
        "{}",
        inbox[0].prefix
    );
    assert_eq!(world.inbox("bob@example.test").await.len(), 1);
    assert!(world.inbox("small@example.test").await.is_empty());
    world.check().await;
}

#[tokio::test]
async fn a_store_that_is_away_is_told_to_each() {
    let world = World::new().await;
    let mut client = world.connect(Role::Lmtp).await;
    client.say("LHLO front.example.test", "250").await;
    client
        .envelope("a@b.example", &["ann@example.test", "bob@example.test"])
        .await;
    client.say("DATA", "354").await;
    world.set_away(true);
    client.send("A: b\r\n\r\n.\r\n").await;
    client.expect(451).await;
    client.expect(451).await;
    world.set_away(false);
    client.quit().await;
    world.check().await;
}
