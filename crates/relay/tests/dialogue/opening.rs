//! The connection, the greeting, EHLO and HELO.

use postrider_relay::{Capabilities, Connector, Error, Kind, Phase, Security, Settings};

use crate::peer::{BARE, FULL, Pieces, connector, envelope, impatient, serve, serve_socket};

#[tokio::test]
async fn what_a_server_offers_is_told() {
    let server = serve(async |mut wire| {
        wire.greet(FULL).await;
        wire.on("QUIT", "221 bye\r\n").await;
        wire.rest().await
    })
    .await;
    let connection = server.open().await.unwrap();
    let expected = Capabilities {
        size: Some(1_000_000),
        eight_bit: true,
        smtp_utf8: true,
        pipelining: true,
        dsn: true,
        chunking: true,
        require_tls: true,
        ..Capabilities::default()
    };
    assert_eq!(connection.capabilities(), &expected);
    assert!(connection.is_usable() && connection.tls().is_none());
    connection.quit().await;
    assert_eq!(server.end().await, "");
}

#[tokio::test]
async fn a_server_without_ehlo_is_greeted_with_helo() {
    let server = serve(async |mut wire| {
        wire.greet("502 what?\r\n").await;
        wire.on("HELO client.example.test", BARE).await;
        wire.envelope().await;
        wire.on("DATA", "354 go on\r\n").await;
        let content = wire.content().await;
        wire.say("250 OK\r\n").await;
        content
    })
    .await;
    let mut connection = server.open().await.unwrap();
    assert_eq!(connection.capabilities(), &Capabilities::default());
    let sent = connection
        .send(
            &envelope(&["ann@example.test"]),
            &mut Pieces::new(&["a\r\n"]),
            || true,
        )
        .await;
    assert_eq!(sent.unwrap().len(), 1);
    assert_eq!(server.end().await, "a\r\n.\r\n");
}

#[tokio::test]
async fn refusals_and_nonsense_are_failures() {
    let endless = "250-x\r\n".repeat(5000);
    let long = format!("220 {}\r\n", "x".repeat(10_000));
    let cases: Vec<(Vec<String>, Phase, Kind)> = [
        (vec!["554 no\r\n"], Phase::Greeting, Kind::Permanent),
        (vec!["421 later\r\n"], Phase::Greeting, Kind::Temporary),
        (vec!["250 what\r\n"], Phase::Greeting, Kind::Temporary),
        (
            vec!["SSH-2.0-OpenSSH\r\n"],
            Phase::Greeting,
            Kind::Temporary,
        ),
        (vec!["\0\u{7f}é\r\n"], Phase::Greeting, Kind::Temporary),
        (vec![&endless], Phase::Greeting, Kind::Temporary),
        (vec![&long], Phase::Greeting, Kind::Temporary),
        (vec!["220-half"], Phase::Greeting, Kind::Temporary),
        (vec![""], Phase::Greeting, Kind::Temporary),
        (vec!["220 a\r\n220 b\r\n"], Phase::Hello, Kind::Temporary),
        (
            vec!["220 a\r\n", "451 later\r\n"],
            Phase::Hello,
            Kind::Temporary,
        ),
        (
            vec!["220 a\r\n", "421 closing\r\n"],
            Phase::Hello,
            Kind::Temporary,
        ),
        (
            vec!["220 a\r\n", "502 no\r\n", "550 no\r\n"],
            Phase::Hello,
            Kind::Permanent,
        ),
        (
            vec!["220 a\r\n", "250-x\r\n251 y\r\n"],
            Phase::Hello,
            Kind::Temporary,
        ),
        (vec!["220 a\r\n", &endless], Phase::Hello, Kind::Temporary),
        (vec!["220 a\r\n", ""], Phase::Hello, Kind::Temporary),
    ]
    .into_iter()
    .map(|(says, phase, kind)| (says.into_iter().map(str::to_owned).collect(), phase, kind))
    .collect();
    for (says, phase, kind) in cases {
        let shown = format!("{says:.40?}");
        let server = serve(async move |mut wire| {
            for (at, line) in says.iter().enumerate() {
                if at > 0 {
                    wire.line().await;
                }
                wire.say(line).await;
            }
        })
        .await;
        let failure = server.open().await.unwrap_err();
        assert_eq!(
            (failure.phase, failure.kind),
            (phase, kind),
            "{shown}: {failure}"
        );
        assert!(!failure.after_data);
        server.end().await;
    }
}

#[tokio::test]
async fn silence_is_given_up() {
    for at in [Phase::Greeting, Phase::Hello] {
        let server = serve(async move |mut wire| {
            if at == Phase::Hello {
                wire.say("220 a\r\n").await;
                wire.hear("EHLO client.example.test").await;
                // Half an answer, which is no more than silence.
                wire.say("250-mx.example.test\r\n250-").await;
            }
            wire.rest().await
        })
        .await;
        let connector = impatient(|s| match at {
            Phase::Greeting => &mut s.greeting_timeout,
            _ => &mut s.command_timeout,
        });
        let opened = connector.open(&server.peer(), &Security::Plain, None).await;
        let failure = opened.unwrap_err();
        assert_eq!((failure.phase, failure.kind), (at, Kind::Temporary));
        assert!(failure.text.contains("took too long"), "{failure}");
        assert_eq!(server.end().await, "");
    }
}

#[tokio::test]
async fn nobody_there_is_a_temporary_failure() {
    let server = serve_socket(async |socket| drop(socket)).await;
    let peer = server.peer();
    drop(server.open().await.unwrap_err());
    server.end().await;
    let opened = connector().open(&peer, &Security::Plain, None).await;
    let failure = opened.unwrap_err();
    assert_eq!(
        (failure.phase, failure.kind),
        (Phase::Connect, Kind::Temporary)
    );
    assert!(
        failure.text.contains("mx.example.test at 127.0.0.1"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_reset_is_a_temporary_failure() {
    let server = serve_socket(async |socket| socket.set_zero_linger().unwrap()).await;
    let failure = server.open().await.unwrap_err();
    assert_eq!(failure.kind, Kind::Temporary);
    server.end().await;
}

#[tokio::test]
async fn the_source_address_is_used() {
    let server = serve_socket(async |socket| socket.peer_addr().unwrap().ip()).await;
    let mut peer = server.peer();
    peer.source = Some("127.0.0.9".parse().unwrap());
    let opened = connector().open(&peer, &Security::Plain, None).await;
    drop(opened.unwrap_err());
    assert_eq!(Some(server.end().await), peer.source);
    peer.source = Some("::1".parse().unwrap());
    let opened = connector().open(&peer, &Security::Plain, None).await;
    assert_eq!(opened.unwrap_err().phase, Phase::Connect);
}

#[test]
fn a_name_that_would_be_more_than_a_name_is_refused() {
    for name in ["", "a b", "a\r\nQUIT", "ä.example"] {
        let made = Connector::new(Settings::default(), name, &[]);
        assert!(matches!(made, Err(Error::Name(_))), "{name:?}");
    }
}
