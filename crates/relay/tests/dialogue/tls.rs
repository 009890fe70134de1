//! STARTTLS and TLS from the start, under each demand.

use postrider_relay::{Connector, Failure, Kind, Phase, Security, Settings, Verdict};

use crate::certificate::{Authority, Certificate};
use crate::peer::{
    BARE, FULL, NAME, Pieces, Server, WITH_TLS, Wire, connector, envelope, impatient, serve,
};

/// A server that shows `certificate` after STARTTLS; what it hears then.
pub(crate) async fn tls_server(certificate: Certificate) -> Server<String> {
    serve(async move |mut wire| {
        wire.greet(WITH_TLS).await;
        wire.on("STARTTLS", "220 go on\r\n").await;
        under_tls(wire, &certificate).await
    })
    .await
}

async fn under_tls(wire: Wire, certificate: &Certificate) -> String {
    let Ok(mut wire) = wire.start_tls(certificate).await else {
        return "no TLS".into();
    };
    if wire.line().await.is_empty() {
        return "no EHLO".into();
    }
    wire.say(FULL).await;
    wire.on("QUIT", "221 bye\r\n").await;
    wire.rest().await
}

pub(crate) fn verified(names: &[&str]) -> Security {
    Security::Verified {
        names: names.iter().map(|&n| n.into()).collect(),
    }
}

async fn open_trusting(
    server: &Server<String>,
    authority: &Authority,
    security: &Security,
) -> Result<bool, Failure> {
    let trusted = [authority.certificate.clone()];
    let connector = Connector::new(Settings::default(), "client.example.test", &trusted).unwrap();
    let connection = connector.open(&server.peer(), security, None).await?;
    let facts = connection.tls().unwrap();
    assert_eq!(facts.protocol, "TLSv1.3");
    assert!(facts.cipher.starts_with("TLS13_"), "{facts:?}");
    // What was offered in the clear is forgotten.
    assert!(connection.capabilities().chunking && !connection.capabilities().start_tls);
    connection.quit().await;
    Ok(facts.verified)
}

#[tokio::test]
async fn any_certificate_will_do_unless_it_is_to_be_verified() {
    let authority = Authority::new();
    for security in [Security::Opportunistic, Security::Encrypted] {
        let server = tls_server(Certificate::own("other.example")).await;
        assert_eq!(
            open_trusting(&server, &authority, &security).await,
            Ok(false)
        );
        assert_eq!(server.end().await, "");
    }
    let server = tls_server(Certificate::own(NAME)).await;
    let opened = open_trusting(&server, &authority, &verified(&[NAME])).await;
    let failure = opened.unwrap_err();
    assert_eq!(
        (failure.phase, failure.kind),
        (Phase::Handshake, Kind::Temporary)
    );
    assert!(failure.is_handshake());
    assert_ne!(server.end().await, "");
}

#[tokio::test]
async fn a_verified_certificate_is_valid_for_a_name_and_now() {
    let authority = Authority::new();
    let cases = [
        (NAME, 2090, vec![NAME], true),
        (NAME, 2090, vec!["other.example", "MX.example.test."], true),
        ("*.example.test", 2090, vec![NAME], true),
        ("other.example", 2090, vec![NAME], false),
        (NAME, 2001, vec![NAME], false),
        (NAME, 2090, vec![], false),
        (NAME, 2090, vec!["no name"], false),
    ];
    for (name, until, names, good) in cases {
        let server = tls_server(authority.issue(name, until)).await;
        let opened = open_trusting(&server, &authority, &verified(&names)).await;
        match good {
            true => assert_eq!(opened, Ok(true), "{name} {names:?}"),
            false => assert_eq!(
                opened.unwrap_err().phase,
                Phase::Handshake,
                "{name} {names:?}"
            ),
        }
        server.end().await;
    }
    let server = tls_server(Authority::new().issue(NAME, 2090)).await;
    let opened = open_trusting(&server, &authority, &verified(&[NAME])).await;
    assert!(opened.unwrap_err().is_handshake(), "another authority");
}

#[tokio::test]
async fn tls_that_is_demanded_and_not_offered_is_a_failure() {
    for security in [Security::Encrypted, verified(&[NAME])] {
        let server = serve(async |mut wire| {
            wire.greet(BARE).await;
            wire.rest().await
        })
        .await;
        let failure = server.open_with(&security).await.unwrap_err();
        assert_eq!(
            (failure.phase, failure.kind),
            (Phase::StartTls, Kind::Temporary)
        );
        assert_eq!(server.end().await, "", "nothing goes out in the clear");
    }
}

#[tokio::test]
async fn a_refused_starttls_counts_where_it_is_demanded() {
    for (security, good) in [
        (Security::Opportunistic, true),
        (Security::Encrypted, false),
        (Security::Plain, true),
    ] {
        let asked = security != Security::Plain;
        let server = serve(async move |mut wire| {
            wire.greet(WITH_TLS).await;
            if asked {
                wire.on("STARTTLS", "554 5.7.0 not now\r\n").await;
            }
            wire.rest().await
        })
        .await;
        let opened = server.open_with(&security).await;
        assert_eq!(opened.is_ok(), good, "{security:?}");
        match opened {
            Ok(connection) => assert!(connection.tls().is_none()),
            Err(failure) => {
                assert_eq!(
                    (failure.phase, failure.kind),
                    (Phase::StartTls, Kind::Temporary)
                );
            }
        }
        server.end().await;
    }
}

#[tokio::test]
async fn a_broken_handshake_is_told_apart() {
    let server = serve(async |mut wire| {
        wire.greet(WITH_TLS).await;
        wire.on("STARTTLS", "220 go on\r\n").await;
        wire.bytes(1).await;
        wire.say("this is no TLS at all\r\n").await;
    })
    .await;
    let failure = server
        .open_with(&Security::Opportunistic)
        .await
        .unwrap_err();
    assert!(failure.is_handshake(), "{failure}");
    server.end().await;

    let server = serve(async |mut wire| {
        wire.greet(WITH_TLS).await;
        wire.on("STARTTLS", "220 go on\r\n").await;
        wire.raw_rest().await;
    })
    .await;
    let connector = impatient(|s| &mut s.handshake_timeout);
    let opened = connector
        .open(&server.peer(), &Security::Opportunistic, None)
        .await;
    let failure = opened.unwrap_err();
    assert!(
        failure.is_handshake() && failure.text.contains("too long"),
        "{failure}"
    );
    server.end().await;
}

#[tokio::test]
async fn what_is_injected_before_tls_is_not_believed() {
    for injected in ["250 injected\r\n", "250-half", "x"] {
        let server = serve(async move |mut wire| {
            wire.greet(WITH_TLS).await;
            wire.on("STARTTLS", &format!("220 go on\r\n{injected}"))
                .await;
            wire.rest().await
        })
        .await;
        let failure = server
            .open_with(&Security::Opportunistic)
            .await
            .unwrap_err();
        assert_eq!(failure.phase, Phase::StartTls, "{failure}");
        assert_eq!(server.end().await, "", "no handshake is begun");
    }
}

#[tokio::test]
async fn tls_from_the_start_comes_before_the_greeting() {
    for security in [Security::Plain, Security::Encrypted] {
        let server = serve(async |wire| {
            let mut wire = wire.start_tls(&Certificate::own(NAME)).await.unwrap();
            wire.greet(WITH_TLS).await;
            wire.on("QUIT", "221 bye\r\n").await;
        })
        .await;
        let mut peer = server.peer();
        peer.implicit_tls = true;
        let connection = connector().open(&peer, &security, None).await.unwrap();
        assert!(connection.tls().is_some_and(|tls| !tls.verified));
        connection.quit().await;
        server.end().await;
    }
}

#[tokio::test]
async fn a_message_that_requires_tls_travels_over_verified_tls() {
    let authority = Authority::new();
    let certificate = authority.issue(NAME, 2090);
    let server = serve(async move |mut wire| {
        wire.greet(WITH_TLS).await;
        wire.on("STARTTLS", "220 go on\r\n").await;
        let mut wire = wire.start_tls(&certificate).await.unwrap();
        wire.on(
            "EHLO client.example.test",
            "250-mx\r\n250-REQUIRETLS\r\n250 SIZE\r\n",
        )
        .await;
        wire.on(
            "MAIL FROM:<sue@example.org> SIZE=300000 REQUIRETLS",
            "250 OK\r\n",
        )
        .await;
        wire.on("RCPT TO:<ann@example.test>", "250 OK\r\n").await;
        wire.on("DATA", "354 go on\r\n").await;
        let content = wire.content().await;
        wire.say("250 OK\r\n").await;
        content.len()
    })
    .await;
    let trusted = [authority.certificate.clone()];
    let connector = Connector::new(Settings::default(), "client.example.test", &trusted).unwrap();
    let opened = connector
        .open(&server.peer(), &verified(&[NAME]), None)
        .await;
    let mut connection = opened.unwrap();
    let mut envelope = envelope(&["ann@example.test"]);
    envelope.require_tls = true;
    let text = "x\r\n".repeat(100_000);
    let sent = connection
        .send(&envelope, &mut Pieces::new(&[&text]), || true)
        .await;
    assert!(matches!(sent.unwrap()[0], Verdict::Delivered(_)));
    assert_eq!(server.end().await, 300_003);
}

#[tokio::test]
async fn a_notice_says_that_it_requires_tls_where_the_server_understands() {
    let authority = Authority::new();
    // By the certificate; by what the server offers.
    for (verifies, offers) in [(true, true), (true, false), (false, true)] {
        let certificate = authority.issue(NAME, 2090);
        let server = serve(async move |mut wire| {
            wire.greet(WITH_TLS).await;
            wire.on("STARTTLS", "220 go on\r\n").await;
            let mut wire = wire.start_tls(&certificate).await.unwrap();
            let hello = match offers {
                true => "250-mx\r\n250 REQUIRETLS\r\n",
                false => "250 mx\r\n",
            };
            wire.on("EHLO client.example.test", hello).await;
            let mail = match verifies && offers {
                true => "MAIL FROM:<> REQUIRETLS",
                false => "MAIL FROM:<>",
            };
            wire.on(mail, "250 OK\r\n").await;
            wire.on("RCPT TO:<ann@example.test>", "250 OK\r\n").await;
            wire.on("DATA", "354 go on\r\n").await;
            wire.content().await;
            wire.say("250 OK\r\n").await;
        })
        .await;
        let security = match verifies {
            true => verified(&[NAME]),
            false => Security::Opportunistic,
        };
        let trusted = [authority.certificate.clone()];
        let connector =
            Connector::new(Settings::default(), "client.example.test", &trusted).unwrap();
        let opened = connector.open(&server.peer(), &security, None).await;
        let mut envelope = envelope(&["ann@example.test"]);
        envelope.require_tls = true;
        envelope.reverse_path = None;
        let sent = opened
            .unwrap()
            .send(&envelope, &mut Pieces::new(&["x\r\n"]), || true)
            .await;
        assert!(matches!(sent.unwrap()[0], Verdict::Delivered(_)));
        server.end().await;
    }
}

#[tokio::test]
async fn a_server_that_proves_who_it_is_and_lacks_requiretls_gets_no_such_mail() {
    let authority = Authority::new();
    let certificate = authority.issue(NAME, 2090);
    let server = serve(async move |mut wire| {
        wire.greet(WITH_TLS).await;
        wire.on("STARTTLS", "220 go on\r\n").await;
        let mut wire = wire.start_tls(&certificate).await.unwrap();
        wire.on("EHLO client.example.test", "250 mx\r\n").await;
        wire.rest().await
    })
    .await;
    let trusted = [authority.certificate.clone()];
    let connector = Connector::new(Settings::default(), "client.example.test", &trusted).unwrap();
    let opened = connector
        .open(&server.peer(), &verified(&[NAME]), None)
        .await;
    let mut connection = opened.unwrap();
    let mut envelope = envelope(&["ann@example.test"]);
    envelope.require_tls = true;
    let sent = connection
        .send(&envelope, &mut Pieces::new(&["x\r\n"]), || true)
        .await;
    assert_eq!(sent.unwrap_err().status.to_string(), "5.7.30");
    drop(connection);
    assert_eq!(server.end().await, "");
}
