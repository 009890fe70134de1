//! DATA and BDAT: what goes out, what is heard meanwhile, and that nothing is
//! finished which must not be.

use std::sync::atomic::{AtomicUsize, Ordering};

use postrider_relay::{Connection, Failure, Kind, Phase, Security, Verdict};

use crate::peer::{BARE, FULL, Pieces, Server, Wire, envelope, impatient, serve};

async fn send(connection: &mut Connection, mut source: Pieces) -> Result<Vec<Verdict>, Failure> {
    let envelope = envelope(&["ann@example.test"]);
    connection.send(&envelope, &mut source, || true).await
}

/// Takes the envelope and asks for content, or waits for chunks.
async fn ready(wire: &mut Wire, chunks: bool) {
    wire.greet(if chunks { FULL } else { BARE }).await;
    let mail = wire.line().await;
    assert!(mail.starts_with("MAIL FROM:<sue@example.org>"), "{mail}");
    wire.say("250 OK\r\n").await;
    wire.on("RCPT TO:<ann@example.test>", "250 OK\r\n").await;
    if !chunks {
        wire.on("DATA", "354 go on\r\n").await;
    }
}

/// A server that keeps what it is sent after the envelope until the end.
async fn keeper(chunks: bool) -> Server<String> {
    serve(async move |mut wire| {
        ready(&mut wire, chunks).await;
        wire.rest().await
    })
    .await
}

fn big() -> String {
    "0123456789abcde\r\n".repeat(20_000)
}

#[tokio::test]
async fn what_goes_wrong_at_the_source_leaves_the_message_unfinished() {
    for chunks in [false, true] {
        let big = big();
        let cases = [
            Pieces::new(&["a\r\n"]).then_error(),
            Pieces::new(&[&big, "b\r\n"]).then_error(),
            Pieces::new(&["a\r\n"]).claiming(4),
            Pieces::new(&["a\r\n", "b\r\n"]).claiming(5),
            Pieces::new(&["a\r\n"]).claiming(0),
            Pieces::new(&["a\n.\nb\r\n"]),
            Pieces::new(&["a\r", "b\r\n"]),
            Pieces::new(&["a\r\n\r"]),
        ];
        for (at, source) in cases.into_iter().enumerate() {
            let server = keeper(chunks).await;
            let mut connection = server.open().await.unwrap();
            let failure = send(&mut connection, source).await.unwrap_err();
            assert_eq!(failure.phase, Phase::Source, "{at}: {failure}");
            assert!(!failure.after_data && !connection.is_usable());
            connection.quit().await;
            let rest = server.end().await;
            assert!(
                !rest.contains("\r\n.\r\n") && !rest.starts_with(".\r\n"),
                "{at}"
            );
            assert!(
                !rest.contains("LAST") && !rest.contains("QUIT"),
                "{at}: {rest}"
            );
        }
    }
}

#[tokio::test]
async fn a_shut_gate_leaves_the_message_unfinished() {
    for chunks in [false, true] {
        let server = keeper(chunks).await;
        let mut connection = server.open().await.unwrap();
        let asked = AtomicUsize::new(0);
        let gate = || {
            asked.fetch_add(1, Ordering::Relaxed);
            false
        };
        let mut source = Pieces::new(&["a\r\n", "b\r\n"]);
        let envelope = envelope(&["ann@example.test"]);
        let failure = connection.send(&envelope, &mut source, gate).await;
        let failure = failure.unwrap_err();
        assert_eq!(
            (failure.phase, failure.kind),
            (Phase::Gate, Kind::Temporary)
        );
        assert_eq!(asked.into_inner(), 1);
        assert!(!connection.is_usable() && !failure.after_data);
        connection.quit().await;
        let sent = if chunks { "" } else { "a\r\nb\r\n" };
        assert_eq!(server.end().await, sent);
    }
}

#[tokio::test]
async fn a_dropped_future_leaves_the_message_unfinished() {
    let server = keeper(false).await;
    let mut connection = server.open().await.unwrap();
    struct Stuck;
    impl postrider_relay::Source for Stuck {
        async fn next(&mut self) -> Result<Option<bytes::Bytes>, postrider_relay::SourceError> {
            std::future::pending().await
        }
        fn size(&self) -> u64 {
            1
        }
    }
    let envelope = envelope(&["ann@example.test"]);
    let mut source = Stuck;
    let sending = connection.send(&envelope, &mut source, || true);
    let sent = tokio::time::timeout(std::time::Duration::from_millis(300), sending).await;
    assert!(sent.is_err() && !connection.is_usable());
    connection.quit().await;
    assert_eq!(server.end().await, "");
}

#[tokio::test]
async fn the_end_decides() {
    for (chunks, answer, good) in [
        (false, "250 2.0.0 taken\r\n", true),
        (false, "550 5.7.1 spam\r\n", false),
        (false, "451 later\r\n", false),
        (true, "250 2.0.0 taken\r\n", true),
        (true, "552 5.3.4 too large\r\n", false),
    ] {
        let server = serve(async move |mut wire| {
            ready(&mut wire, chunks).await;
            if chunks {
                wire.hear("BDAT 7 LAST").await;
                assert_eq!(wire.bytes(7).await, b".a\r\nb\r\n");
            } else {
                assert_eq!(wire.content().await, "..a\r\nb\r\n.\r\n");
            }
            wire.say(answer).await;
            if !good {
                wire.on("RSET", "250 OK\r\n").await;
            }
            let mail = wire.line().await;
            assert!(mail.starts_with("MAIL FROM:<sue@example.org>"), "{mail}");
            wire.say("421 enough\r\n").await;
        })
        .await;
        let mut connection = server.open().await.unwrap();
        let verdicts = send(&mut connection, Pieces::new(&[".a\r", "\nb\r\n"]))
            .await
            .unwrap();
        assert_eq!(matches!(verdicts[0], Verdict::Delivered(_)), good);
        assert_eq!(verdicts[0].reply().code.to_string(), answer[..3]);
        assert!(connection.is_usable());
        let failure = send(&mut connection, Pieces::new(&["a\r\n"]))
            .await
            .unwrap_err();
        assert_eq!(failure.reply.unwrap().code, 421);
        assert!(!connection.is_usable());
        server.end().await;
    }
}

#[tokio::test]
async fn an_end_without_an_answer_may_have_been_taken() {
    for chunks in [false, true] {
        for answer in ["", "hang", "what?\r\n", "354 more\r\n"] {
            let server = serve(async move |mut wire| {
                ready(&mut wire, chunks).await;
                match chunks {
                    true => {
                        wire.hear("BDAT 3 LAST").await;
                        wire.bytes(3).await;
                    }
                    false => drop(wire.content().await),
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
            let connector = impatient(|s| &mut s.data_end_timeout);
            let opened = connector.open(&server.peer(), &Security::Plain, None).await;
            let mut connection = opened.unwrap();
            let failure = send(&mut connection, Pieces::new(&["a\r\n"]))
                .await
                .unwrap_err();
            assert_eq!((failure.phase, failure.kind), (Phase::End, Kind::Temporary));
            assert!(failure.after_data && !connection.is_usable(), "{answer}");
            connection.quit().await;
            assert_eq!(server.end().await, "");
        }
    }
}

#[tokio::test]
async fn a_goodbye_instead_of_the_verdict_defers() {
    let server = serve(async |mut wire| {
        ready(&mut wire, false).await;
        wire.content().await;
        wire.say("421 4.3.2 shutting down\r\n").await;
    })
    .await;
    let mut connection = server.open().await.unwrap();
    let verdicts = send(&mut connection, Pieces::new(&["a\r\n"]))
        .await
        .unwrap();
    assert!(matches!(&verdicts[0], Verdict::Deferred(reply) if reply.code == 421));
    assert!(!connection.is_usable());
    server.end().await;
}

#[tokio::test]
async fn a_refusal_before_the_end_is_heard_and_the_dot_not_sent() {
    for (answer, heard) in [
        ("552 5.3.4 too large\r\n", true),
        ("421 4.3.2 shutting down\r\n", true),
        ("250 OK\r\n", false),
        ("nonsense\r\n", false),
    ] {
        let server = serve(async move |mut wire| {
            ready(&mut wire, false).await;
            wire.bytes(100).await;
            wire.say(answer).await;
            wire.rest().await
        })
        .await;
        let mut connection = server.open().await.unwrap();
        // More than fits into the buffers on the way.
        let pieces = vec![big(); 60];
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let sent = send(&mut connection, Pieces::new(&pieces)).await;
        match sent {
            Ok(verdicts) => {
                assert!(heard, "{answer}");
                assert_eq!(verdicts[0].reply().code.to_string(), answer[..3]);
                assert!(!matches!(verdicts[0], Verdict::Delivered(_)));
            }
            Err(failure) => {
                assert!(!heard, "{failure}");
                assert_eq!(
                    (failure.phase, failure.kind),
                    (Phase::Content, Kind::Temporary)
                );
                assert!(!failure.after_data);
            }
        }
        assert!(!connection.is_usable());
        connection.quit().await;
        assert!(!server.end().await.contains("\r\n.\r\n"));
    }
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_given_up() {
    let server = serve(async |mut wire| {
        ready(&mut wire, false).await;
        std::future::pending::<()>().await;
    })
    .await;
    let connector = impatient(|s| &mut s.data_block_timeout);
    let opened = connector.open(&server.peer(), &Security::Plain, None).await;
    let mut connection = opened.unwrap();
    let pieces = vec![big(); 60];
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    let failure = send(&mut connection, Pieces::new(&pieces))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.phase, failure.kind),
        (Phase::Content, Kind::Temporary)
    );
    assert!(
        !failure.after_data && failure.text.contains("too long"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_large_message_goes_in_chunks_and_comes_whole() {
    let server = serve(async |mut wire| {
        ready(&mut wire, true).await;
        let mut content = Vec::new();
        loop {
            let line = wire.line().await;
            let mut words = line.split(' ');
            assert_eq!(words.next(), Some("BDAT"));
            let size: usize = words.next().unwrap().parse().unwrap();
            assert!(size <= 65_536);
            content.extend(wire.bytes(size).await);
            wire.say("250 OK\r\n").await;
            if words.next() == Some("LAST") {
                return content;
            }
        }
    })
    .await;
    let mut connection = server.open().await.unwrap();
    let text = big();
    let (first, second) = text.split_at(100_001);
    let verdicts = send(&mut connection, Pieces::new(&[first, second]))
        .await
        .unwrap();
    assert!(matches!(verdicts[0], Verdict::Delivered(_)));
    assert_eq!(server.end().await, text.as_bytes());
}

#[tokio::test]
async fn the_last_chunk_waits_for_all_others() {
    for (answer, heard) in [
        ("451 disk full\r\n", true),
        ("354 what\r\n", false),
        ("", false),
    ] {
        let server = serve(async move |mut wire| {
            ready(&mut wire, true).await;
            let line = wire.line().await;
            let size: usize = line.strip_prefix("BDAT ").unwrap().parse().unwrap();
            wire.bytes(size).await;
            wire.say(answer).await;
            if answer.is_empty() {
                return String::new();
            }
            wire.rest().await
        })
        .await;
        let mut connection = server.open().await.unwrap();
        let text = big();
        let sent = send(&mut connection, Pieces::new(&[&text[..68_000]])).await;
        match sent {
            Ok(verdicts) => {
                assert!(heard);
                assert!(matches!(&verdicts[0], Verdict::Deferred(reply) if reply.code == 451));
            }
            Err(failure) => {
                assert!(!heard, "{failure}");
                assert_eq!(
                    (failure.phase, failure.kind),
                    (Phase::Content, Kind::Temporary)
                );
            }
        }
        assert!(!connection.is_usable());
        connection.quit().await;
        assert_eq!(server.end().await, "", "the last chunk is not sent");
    }
}
