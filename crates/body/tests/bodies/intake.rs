//! Taking bodies in.

use std::time::Duration;

use postrider_body::{Error, Settings};
use postrider_meta::{Content, Encoding};

use crate::faults::Fault;
use crate::support::{World, drain, message};

#[tokio::test]
async fn bodies_of_any_size_come_back() {
    let world = World::new().await;
    for size in [
        0,
        1,
        8_191,
        8_192,
        65_535,
        65_536,
        65_537,
        131_072,
        300_000,
        6 << 20,
    ] {
        for noise in [false, true] {
            let body = if size < 60 {
                vec![b'x'; size]
            } else {
                message(1, size, noise)
            };
            let new = world.take(&body).await.unwrap();
            assert_eq!(new.size, body.len() as u64);
            assert_eq!(new.checksum, *blake3::hash(&body).as_bytes());
            let inline = matches!(new.content, Content::Inline(_));
            assert_eq!(inline, body.len() <= 65_536, "{size}");
            let id = new.id;
            world.accept(new).await;
            assert!(
                drain(&world.bodies, id).await.unwrap() == body,
                "{size} {noise}"
            );
            assert!(world.afresh().read_all(id, 10 << 20).await.unwrap() == body);
        }
    }
    world.consistent().await;
}

#[tokio::test]
async fn text_is_compressed_and_noise_is_not() {
    let world = World::new().await;
    let stored = |content: &Content| match content {
        Content::Inline(bytes) => bytes.len() as u64,
        Content::Object { length, .. } => *length,
    };
    let text = world.take(&message(1, 50_000, false)).await.unwrap();
    assert_eq!(text.encoding, Encoding::Zstd);
    assert!(stored(&text.content) < text.size / 4);
    let noise = world.take(&message(1, 50_000, true)).await.unwrap();
    assert_eq!(
        (noise.encoding, stored(&noise.content)),
        (Encoding::Identity, noise.size)
    );
    let short = world.take(&message(1, 4_000, false)).await.unwrap();
    assert_eq!(
        short.encoding,
        Encoding::Identity,
        "too small to be worth the time"
    );
    let large = world.take(&message(1, 500_000, false)).await.unwrap();
    assert_eq!(large.encoding, Encoding::Blocks);
    assert!(stored(&large.content) < large.size / 4);
}

#[tokio::test]
async fn the_summary_comes_with_the_body() {
    let world = World::new().await;
    let body = b"Received: from a\r\nReceived: from b\r\nSubject: hello\r\n\r\ntext\r\n";
    let mut intake = world.bodies.intake();
    for byte in body {
        intake.write(&[*byte]).await.unwrap();
    }
    let (new, summary) = intake.finish_with_summary().await.unwrap();
    assert_eq!((summary.received_count, new.size), (2, body.len() as u64));
    assert_eq!(new.summary, summary.encode_to_bytes());
    assert_eq!(new.inline_budget, world.settings.inline_budget);
}

#[tokio::test]
async fn too_large_a_body_is_refused_and_leaves_nothing() {
    let world = World::with(Settings {
        max_size: 1 << 20,
        ..Settings::default()
    })
    .await;
    let mut intake = world.bodies.intake();
    intake.write(&vec![b'x'; 1 << 20]).await.unwrap();
    for _ in 0..2 {
        let refused = intake.write(b"y").await;
        assert!(matches!(refused, Err(Error::TooLarge { limit: 1_048_576 })));
    }
    assert!(matches!(intake.finish().await, Err(Error::TooLarge { .. })));
    assert!(world.keys().await.is_empty());
}

#[tokio::test]
async fn while_the_bucket_is_away_small_mail_is_taken_and_large_mail_is_told() {
    let world = World::new().await;
    world.faults.away(true);
    let (id, _) = world.deliver(&message(1, 4_000, false)).await;
    assert_eq!(
        drain(&world.bodies, id).await.unwrap(),
        message(1, 4_000, false)
    );
    let large = message(2, 200_000, true);
    assert!(matches!(
        world.take(&large).await,
        Err(Error::Unavailable(_))
    ));
    assert!(!world.bodies.available());
    // Known to be away: told with the first byte too many.
    let mut intake = world.bodies.intake();
    let refused = intake.write(&large).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))));
    world.faults.away(false);
    let back = async {
        while !world.bodies.available() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back)
        .await
        .unwrap();
    let (id, _) = world.deliver(&large).await;
    assert!(drain(&world.bodies, id).await.unwrap() == large);
    world.consistent().await;
}

#[tokio::test]
async fn an_upload_that_fails_once_or_twice_is_not_noticed() {
    let world = World::new().await;
    let large = message(1, 11 << 20, true);
    for op in ["start", "part", "part", "complete"] {
        world.faults.next(op, Fault::Status(500));
        world.faults.next(op, Fault::LostReply);
    }
    let (id, _) = world.deliver(&large).await;
    assert!(drain(&world.bodies, id).await.unwrap() == large);
}

#[tokio::test]
async fn an_intake_that_is_dropped_leaves_nothing() {
    let world = World::new().await;
    let mut intake = world.bodies.intake();
    intake.write(&message(1, 11 << 20, true)).await.unwrap();
    assert_eq!(world.faults.count("part"), 2);
    drop(intake);
    let gone = async {
        while world.faults.count("abort") == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .unwrap();
    assert!(world.keys().await.is_empty());
}

#[tokio::test]
async fn bodies_cross_threads() {
    let world = World::new().await;
    let bodies = world.bodies.clone();
    let body = message(1, 200_000, false);
    let expected = body.clone();
    let new = tokio::spawn(async move {
        let mut intake = bodies.intake();
        intake.write(&body).await.unwrap();
        intake.finish().await.unwrap()
    });
    let new = new.await.unwrap();
    let id = new.id;
    world.accept(new).await;
    let bodies = world.bodies.clone();
    let read = tokio::spawn(async move { drain(&bodies, id).await });
    assert!(read.await.unwrap().unwrap() == expected);
}
