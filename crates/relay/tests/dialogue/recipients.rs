//! MAIL and RCPT: parameters, verdicts, pipelining, and connections that take
//! several messages.

use postrider_proto::smtp::{Notify, OriginalRecipient, Return};
use postrider_relay::{Connection, Envelope, Failure, Kind, Phase, Recipient, Security, Verdict};

use crate::peer::{BARE, FULL, PIPELINING, Pieces, Server, envelope, impatient, serve};

async fn send(connection: &mut Connection, envelope: &Envelope) -> Result<Vec<Verdict>, Failure> {
    let mut source = Pieces::new(&["Subject: x\r\n", "\r\n.dot\r\n"]);
    connection.send(envelope, &mut source, || true).await
}

async fn open_and_send<T>(
    server: &Server<T>,
    envelope: &Envelope,
) -> Result<Vec<Verdict>, Failure> {
    send(&mut server.open().await.unwrap(), envelope).await
}

/// `D`elivered, `F`ailed or `L`ater with the reply's code, for each.
fn codes(verdicts: &[Verdict]) -> Vec<String> {
    let letter = |v: &Verdict| match v {
        Verdict::Delivered(_) => 'D',
        Verdict::Failed(_) => 'F',
        Verdict::Deferred(_) => 'L',
    };
    let verdicts = verdicts.iter();
    verdicts
        .map(|v| format!("{}{}", letter(v), v.reply().code))
        .collect()
}

const THREE: [&str; 3] = ["ann@example.test", "bob@example.test", "cy@example.test"];

#[tokio::test]
async fn each_recipient_has_its_verdict() {
    for hello in [BARE, PIPELINING] {
        let server = serve(async move |mut wire| {
            wire.greet(hello).await;
            let pipelining = hello == PIPELINING;
            let answers = [
                ("MAIL FROM:<sue@example.org>", "250 2.1.0 OK\r\n"),
                ("RCPT TO:<ann@example.test>", "450 4.2.1 later\r\n"),
                (
                    "RCPT TO:<bob@example.test>",
                    "250-2.1.5 fine\r\n250 2.1.5 indeed\r\n",
                ),
                ("RCPT TO:<cy@example.test>", "550 5.1.1 no such user\r\n"),
                ("DATA", "354 go on\r\n"),
            ];
            for (command, answer) in answers {
                wire.hear(command).await;
                if !pipelining {
                    wire.say(answer).await;
                }
            }
            if pipelining {
                // All commands were heard before the first was answered.
                wire.say(&answers.map(|a| a.1).concat()).await;
            }
            let content = wire.content().await;
            wire.say("250 2.0.0 taken\r\n").await;
            wire.on("QUIT", "221 bye\r\n").await;
            content
        })
        .await;
        let mut connection = server.open().await.unwrap();
        let verdicts = send(&mut connection, &envelope(&THREE)).await.unwrap();
        assert_eq!(codes(&verdicts), ["L450", "D250", "F550"]);
        assert_eq!(verdicts[1].reply().text, "taken");
        assert_eq!(verdicts[2].reply().to_string(), "550 5.1.1 no such user");
        assert!(connection.is_usable());
        connection.quit().await;
        assert_eq!(server.end().await, "Subject: x\r\n\r\n..dot\r\n.\r\n");
    }
}

#[tokio::test]
async fn many_recipients_go_in_groups() {
    let server = serve(async |mut wire| {
        wire.greet(PIPELINING).await;
        wire.on("MAIL FROM:<sue@example.org>", "250 OK\r\n").await;
        let mut count = 0;
        loop {
            let line = wire.line().await;
            if line == "DATA" {
                break;
            }
            assert!(line.starts_with("RCPT TO:<user"), "{line}");
            count += 1;
            wire.say(if count % 3 == 0 {
                "550 no\r\n"
            } else {
                "250 OK\r\n"
            })
            .await;
        }
        wire.say("354 go on\r\n").await;
        wire.content().await;
        wire.say("250 OK\r\n").await;
    })
    .await;
    let paths: Vec<String> = (0..1000).map(|n| format!("user{n}@example.test")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let verdicts = open_and_send(&server, &envelope(&paths)).await.unwrap();
    assert_eq!(verdicts.len(), 1000);
    for (at, verdict) in verdicts.iter().enumerate() {
        assert_eq!(matches!(verdict, Verdict::Failed(_)), at % 3 == 2, "{at}");
    }
    server.end().await;
}

#[tokio::test]
async fn without_a_recipient_there_is_no_content() {
    // With PIPELINING DATA is sent already: its answer decides whether the
    // connection is still good.
    for (hello, data, usable) in [
        (BARE, "", true),
        (PIPELINING, "554 no valid recipients\r\n", true),
        (PIPELINING, "354 go on\r\n", false),
        (FULL, "", true),
    ] {
        let server = serve(async move |mut wire| {
            wire.greet(hello).await;
            let mail = wire.line().await;
            assert!(mail.starts_with("MAIL FROM:<sue@example.org>"), "{mail}");
            wire.say("250 OK\r\n").await;
            wire.on("RCPT TO:<ann@example.test>", "450 later\r\n").await;
            if !data.is_empty() {
                wire.on("DATA", data).await;
            }
            if usable {
                wire.on("RSET", "250 OK\r\n").await;
                wire.on("QUIT", "221 bye\r\n").await;
            }
            wire.rest().await
        })
        .await;
        let mut connection = server.open().await.unwrap();
        let verdicts = send(&mut connection, &envelope(&THREE[..1])).await.unwrap();
        assert_eq!(codes(&verdicts), ["L450"]);
        assert_eq!(connection.is_usable(), usable, "{data}");
        assert_eq!(connection.reset().await.is_ok(), usable);
        connection.quit().await;
        assert_eq!(server.end().await, "", "no dot");
    }
}

#[tokio::test]
async fn a_refused_sender_is_a_failure_and_the_connection_goes_on() {
    for (hello, answers) in [
        (BARE, "451 4.3.0 later\r\n"),
        (PIPELINING, "451 4.3.0 later\r\n503 no\r\n503 no\r\n"),
    ] {
        let server = serve(async move |mut wire| {
            wire.greet(hello).await;
            wire.hear("MAIL FROM:<sue@example.org>").await;
            if hello == PIPELINING {
                wire.hear("RCPT TO:<ann@example.test>").await;
                wire.hear("DATA").await;
            }
            wire.say(answers).await;
            wire.on("RSET", "250 OK\r\n").await;
            // The second attempt meets a refusal for good.
            wire.hear("MAIL FROM:<sue@example.org>").await;
            wire.say(&answers.replace("451 4.3.0", "550 5.7.1")).await;
            wire.rest().await
        })
        .await;
        let mut connection = server.open().await.unwrap();
        let failure = send(&mut connection, &envelope(&THREE[..1]))
            .await
            .unwrap_err();
        assert_eq!(
            (failure.phase, failure.kind),
            (Phase::Mail, Kind::Temporary)
        );
        assert_eq!(failure.status.to_string(), "4.3.0");
        assert_eq!(failure.reply.unwrap().code, 451);
        let failure = send(&mut connection, &envelope(&THREE[..1]))
            .await
            .unwrap_err();
        assert_eq!(
            (failure.phase, failure.kind),
            (Phase::Mail, Kind::Permanent)
        );
        drop(connection);
        server.end().await;
    }
}

#[tokio::test]
async fn a_connection_takes_one_message_after_the_other() {
    let server = serve(async |mut wire| {
        wire.greet(BARE).await;
        for _ in 0..3 {
            wire.envelope().await;
            wire.on("DATA", "354 go on\r\n").await;
            wire.content().await;
            wire.say("250 OK\r\n").await;
        }
        // Then the server has had enough, and says so before it is asked.
        wire.say("421 too long idle\r\n").await;
    })
    .await;
    let mut connection = server.open().await.unwrap();
    for _ in 0..3 {
        assert!(connection.is_usable());
        let verdicts = send(&mut connection, &envelope(&THREE[..1])).await.unwrap();
        assert_eq!(codes(&verdicts), ["D250"]);
    }
    server.end().await;
    let failure = send(&mut connection, &envelope(&THREE[..1]))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.phase, failure.kind),
        (Phase::Mail, Kind::Temporary)
    );
    assert!(!connection.is_usable() && !failure.after_data);
}

#[tokio::test]
async fn a_goodbye_defers_those_who_are_left() {
    for (hello, at, codes_then) in [
        (BARE, "RCPT TO:<bob@example.test>", ["F550", "L421", "L421"]),
        (BARE, "DATA", ["F550", "L421", "L421"]),
        (PIPELINING, "DATA", ["F550", "L421", "L421"]),
    ] {
        let server = serve(async move |mut wire| {
            wire.greet(hello).await;
            loop {
                let line = wire.line().await;
                if line == at {
                    return wire.say("421 4.3.2 shutting down\r\n").await;
                }
                let refused = line.contains("ann@");
                wire.say(if refused { "550 no\r\n" } else { "250 OK\r\n" })
                    .await;
            }
        })
        .await;
        let mut connection = server.open().await.unwrap();
        let verdicts = send(&mut connection, &envelope(&THREE)).await.unwrap();
        assert_eq!(codes(&verdicts), codes_then, "{at}");
        assert!(!connection.is_usable());
        server.end().await;
    }
}

#[tokio::test]
async fn silence_nonsense_and_a_broken_connection_are_temporary() {
    for at in ["MAIL", "RCPT", "DATA"] {
        for answer in ["", "hang", "ha ha\r\n", "354-\r\n250 x\r\n", "199 x\r\n"] {
            let server = serve(async move |mut wire| {
                wire.greet(BARE).await;
                loop {
                    let line = wire.line().await;
                    if line.starts_with(at) {
                        break;
                    }
                    wire.say("250 OK\r\n").await;
                }
                match answer {
                    "hang" => wire.rest().await,
                    _ => {
                        wire.say(answer).await;
                        String::new()
                    }
                }
            })
            .await;
            let connector = impatient(|s| match at {
                "DATA" => &mut s.data_init_timeout,
                _ => &mut s.command_timeout,
            });
            let opened = connector.open(&server.peer(), &Security::Plain, None).await;
            let mut connection = opened.unwrap();
            let failure = send(&mut connection, &envelope(&THREE[..1]))
                .await
                .unwrap_err();
            let phase = match at {
                "MAIL" => Phase::Mail,
                "RCPT" => Phase::Recipients,
                _ => Phase::Data,
            };
            assert_eq!(
                (failure.phase, failure.kind),
                (phase, Kind::Temporary),
                "{answer}"
            );
            assert!(!failure.after_data && !connection.is_usable());
            connection.quit().await;
            assert_eq!(server.end().await, "");
        }
    }
}

#[tokio::test]
async fn too_many_recipients_are_for_another_time() {
    let server = serve(async |mut wire| {
        wire.greet(PIPELINING).await;
        for _ in 0..5 {
            wire.line().await;
        }
        wire.say("250 OK\r\n250 OK\r\n552 too many\r\n552 5.2.2 full\r\n354 go on\r\n")
            .await;
        wire.content().await;
        wire.say("250 OK\r\n").await;
    })
    .await;
    let verdicts = open_and_send(&server, &envelope(&THREE)).await.unwrap();
    assert_eq!(codes(&verdicts), ["D250", "L552", "F552"]);
    server.end().await;
}

#[tokio::test]
async fn answers_before_their_questions_are_not_believed() {
    let server = serve(async |mut wire| {
        wire.greet(BARE).await;
        wire.hear("MAIL FROM:<sue@example.org>").await;
        wire.say("250 OK\r\n250 OK\r\n354 go on\r\n250 OK\r\n")
            .await;
        wire.rest().await
    })
    .await;
    let failure = open_and_send(&server, &envelope(&THREE[..1]))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.phase, failure.kind),
        (Phase::Recipients, Kind::Temporary)
    );
    assert_eq!(server.end().await, "");
}

fn full_envelope() -> Envelope {
    Envelope {
        reverse_path: None,
        recipients: vec![Recipient {
            path: "jürgen@example.test".into(),
            notify: Some(Notify::On {
                success: true,
                failure: true,
                delay: false,
            }),
            original: Some(OriginalRecipient {
                kind: "rfc822".into(),
                address: "ann+2Bx@example.test".into(),
            }),
        }],
        eight_bit: true,
        smtp_utf8: true,
        ret: Some(Return::Headers),
        envelope_id: Some("a b".into()),
        require_tls: false,
    }
}

#[tokio::test]
async fn parameters_are_sent_where_they_are_offered() {
    let server = serve(async |mut wire| {
        wire.greet(FULL).await;
        let lines = (wire.line().await, wire.line().await);
        wire.say("250 OK\r\n550 no\r\n").await;
        lines
    })
    .await;
    open_and_send(&server, &full_envelope()).await.unwrap();
    let (mail, rcpt) = server.end().await;
    assert_eq!(
        mail,
        "MAIL FROM:<> SIZE=20 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+20b"
    );
    let expected =
        "RCPT TO:<jürgen@example.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;ann+2Bx@example.test";
    assert_eq!(rcpt, expected);

    let server = serve(async |mut wire| {
        wire.greet(BARE).await;
        wire.on("MAIL FROM:<>", "250 OK\r\n").await;
        wire.on("RCPT TO:<ann@example.test>", "550 no\r\n").await;
    })
    .await;
    let mut plain = full_envelope();
    (plain.eight_bit, plain.smtp_utf8) = (false, false);
    plain.recipients[0].path = "ann@example.test".into();
    open_and_send(&server, &plain).await.unwrap();
    server.end().await;
}

#[tokio::test]
async fn what_the_peer_cannot_have_is_not_sent() {
    let small = "250-mx\r\n250 SIZE 10\r\n";
    let plain = envelope(&THREE[..1]);
    let cases = [
        (small, plain.clone(), "5.3.4"),
        (
            BARE,
            Envelope {
                eight_bit: true,
                ..plain.clone()
            },
            "5.6.3",
        ),
        (
            BARE,
            Envelope {
                smtp_utf8: true,
                ..plain.clone()
            },
            "5.6.7",
        ),
        (
            BARE,
            Envelope {
                reverse_path: Some("ü@x.example".into()),
                ..plain.clone()
            },
            "5.6.7",
        ),
        (
            BARE,
            Envelope {
                require_tls: true,
                ..plain.clone()
            },
            "5.7.10",
        ),
        // Offered, but the connection is in the clear.
        (
            FULL,
            Envelope {
                require_tls: true,
                ..plain.clone()
            },
            "5.7.10",
        ),
        (
            BARE,
            Envelope {
                reverse_path: Some("a@b>\r\nDATA".into()),
                ..plain.clone()
            },
            "5.1.7",
        ),
    ];
    for (hello, envelope, status) in cases {
        let server = serve(async move |mut wire| {
            wire.greet(hello).await;
            wire.on("QUIT", "221 bye\r\n").await;
        })
        .await;
        let mut connection = server.open().await.unwrap();
        let failure = send(&mut connection, &envelope).await.unwrap_err();
        assert_eq!(
            (failure.phase, failure.kind),
            (Phase::Mail, Kind::Permanent)
        );
        assert_eq!(failure.status.to_string(), status, "{failure}");
        assert!(failure.reply.is_none() && connection.is_usable());
        connection.quit().await;
        server.end().await;
    }
}

#[tokio::test]
async fn a_recipient_that_cannot_be_named_fails_alone() {
    let server = serve(async |mut wire| {
        wire.greet(BARE).await;
        wire.envelope().await;
        wire.on("DATA", "354 go on\r\n").await;
        wire.content().await;
        wire.say("250 OK\r\n").await;
        wire.rest().await
    })
    .await;
    let paths = ["ü@example.test", "ann@example.test", "a@b.example>\r\nRSET"];
    let mut connection = server.open().await.unwrap();
    let verdicts = send(&mut connection, &envelope(&paths)).await.unwrap();
    assert_eq!(codes(&verdicts), ["F553", "D250", "F553"]);
    // Where nobody is left, nothing is said.
    let verdicts = send(&mut connection, &envelope(&paths[..1])).await.unwrap();
    assert_eq!(codes(&verdicts), ["F553"]);
    assert!(connection.is_usable());
    drop(connection);
    assert_eq!(server.end().await, "");
}
