//! STARTTLS, and what must not survive it.

use postrider_smtp::Role;

use crate::world::World;

const ANN: &str = "AGFubkBleGFtcGxlLnRlc3QAY29ycmVjdCBob3JzZQ==";

#[tokio::test]
async fn a_user_sends_over_tls() {
    let world = World::new().await;
    let mut client = world.connect(Role::Submission).await;
    client.say("EHLO client.example.org", "250").await;
    client.say("STARTTLS", "220 2.0.0").await;
    client.secure(&world).await;
    // RFC 3207 §4.2: what was said before is forgotten.
    client
        .say("MAIL FROM:<ann@example.test>", "503 5.5.1")
        .await;
    let ehlo = client.say("EHLO client.example.org", "250").await;
    assert!(
        ehlo.contains("AUTH PLAIN LOGIN") && !ehlo.contains("STARTTLS"),
        "{ehlo}"
    );
    client.say("STARTTLS", "503 5.5.1").await;
    client.say(&format!("AUTH PLAIN {ANN}"), "235").await;
    client
        .envelope("ann@example.test", &["bob@example.test"])
        .await;
    client.data("Subject: x\r\n\r\n", "250").await;
    client.quit().await;
    let prefix = &world.inbox("bob@example.test").await[0].prefix;
    assert!(prefix.contains("with ESMTPSA id"), "{prefix}");
    assert!(prefix.contains("\r\n\ttls TLS"), "{prefix}");
    world.check().await;
}

#[tokio::test]
async fn plaintext_sent_ahead_of_tls_does_not_count() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client.open("a@b.example", &["ann@example.test"]).await;
    client
        .send("STARTTLS\r\nEHLO evil.example.org\r\nMAIL FROM:<evil@b.example>\r\nRCPT TO:<ann@example.test>\r\n")
        .await;
    client.expect(220).await;
    client.secure(&world).await;
    // Neither the injected commands nor the transaction from before are there.
    client.say("NOOP", "250").await;
    client.say("RCPT TO:<ann@example.test>", "503").await;
    client.say("DATA", "503").await;
    client.quit().await;
    world.check().await;
}

#[tokio::test]
async fn a_broken_handshake_ends_the_session() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    client.say("EHLO client.example.org", "250").await;
    client.say("STARTTLS now", "501").await;
    client.say("STARTTLS", "220").await;
    client.send("this is no TLS\r\n").await;
    client.cut().await;
}

#[tokio::test]
async fn tls_all_the_way_is_offered_where_tls_has_begun() {
    let world = World::new().await;
    let mut client = world.connect(Role::Mx).await;
    let ehlo = client.say("EHLO client.example.org", "250").await;
    assert!(!ehlo.contains("REQUIRETLS"), "{ehlo}");
    client
        .say("MAIL FROM:<a@b.example> REQUIRETLS", "530 5.7.0")
        .await;
    client.say("STARTTLS", "220 2.0.0").await;
    client.secure(&world).await;
    let ehlo = client.say("EHLO client.example.org", "250").await;
    assert!(ehlo.contains("REQUIRETLS"), "{ehlo}");
    client
        .say("MAIL FROM:<a@b.example> REQUIRETLS=1", "501")
        .await;
    client
        .say("MAIL FROM:<a@b.example> REQUIRETLS REQUIRETLS", "501")
        .await;
    client
        .say("MAIL FROM:<a@b.example> REQUIRETLS", "250")
        .await;
    client.say("RCPT TO:<ann@example.test>", "250").await;
    client.data("Subject: x\r\n\r\n", "250").await;
    client.quit().await;
    world.check().await;
}
