//! Asking about recipients without a message.

use postrider_relay::{Kind, Phase};

use crate::peer::{BARE, FULL, Pieces, envelope, serve};

#[tokio::test]
async fn a_peer_is_asked_about_one_after_the_other_and_then_has_a_message() {
    let server = serve(async |mut wire| {
        wire.greet(BARE).await;
        wire.on("MAIL FROM:<>", "250 OK\r\n").await;
        wire.on("RCPT TO:<ann@example.test>", "250 OK\r\n").await;
        wire.on("RSET", "250 OK\r\n").await;
        wire.on("MAIL FROM:<>", "250 OK\r\n").await;
        wire.on("RCPT TO:<bob@example.test>", "550 5.1.1 who?\r\n")
            .await;
        wire.on("RSET", "250 OK\r\n").await;
        wire.envelope().await;
        wire.on("DATA", "354 go on\r\n").await;
        wire.content().await;
        wire.say("250 OK\r\n").await;
    })
    .await;
    let mut connection = server.open().await.unwrap();
    let ann = connection.ask_recipient("ann@example.test").await.unwrap();
    assert!(ann.is_positive() && connection.is_usable());
    let bob = connection.ask_recipient("bob@example.test").await.unwrap();
    assert_eq!((bob.code, &*bob.text), (550, "who?"));
    // The peer cannot be asked about it, and is not.
    let odd = connection.ask_recipient("gr\u{fc}n@example.test").await;
    assert_eq!(odd.unwrap().code, 553);
    let mut source = Pieces::new(&["Subject: x\r\n", "\r\nx\r\n"]);
    let envelope = envelope(&["ann@example.test"]);
    let sent = connection.send(&envelope, &mut source, || true);
    assert_eq!(sent.await.unwrap().len(), 1);
    server.end().await;
}

#[tokio::test]
async fn an_address_beyond_ascii_is_asked_about_where_the_peer_takes_it() {
    let server = serve(async |mut wire| {
        wire.greet(FULL).await;
        wire.on("MAIL FROM:<> SMTPUTF8", "250 OK\r\n").await;
        wire.on("RCPT TO:<gr\u{fc}n@example.test>", "250 OK\r\n")
            .await;
    })
    .await;
    let mut connection = server.open().await.unwrap();
    let asked = connection.ask_recipient("gr\u{fc}n@example.test").await;
    assert!(asked.unwrap().is_positive());
    server.end().await;
}

#[tokio::test]
async fn a_refused_sender_and_a_goodbye_say_nothing_of_the_recipient() {
    let server = serve(async |mut wire| {
        wire.greet(BARE).await;
        wire.on("MAIL FROM:<>", "550 no notices here\r\n").await;
        wire.on("RSET", "250 OK\r\n").await;
        wire.on("MAIL FROM:<>", "250 OK\r\n").await;
        wire.on("RCPT TO:<ann@example.test>", "421 enough\r\n")
            .await;
    })
    .await;
    let mut connection = server.open().await.unwrap();
    let refused = connection.ask_recipient("ann@example.test").await;
    let failure = refused.unwrap_err();
    assert_eq!(
        (failure.phase, failure.kind),
        (Phase::Mail, Kind::Permanent)
    );
    assert!(connection.is_usable());
    let goodbye = connection.ask_recipient("ann@example.test").await.unwrap();
    assert_eq!(goodbye.code, 421);
    assert!(!connection.is_usable());
    server.end().await;
}
