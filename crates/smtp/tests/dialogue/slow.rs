//! Senders that stall within a message, and what they cost the others.

use std::time::Duration;

use postrider_blob::Store;
use postrider_body::Bodies;
use postrider_smtp::Role;
use rand::RngCore;
use tokio::time::{Instant, sleep};

use crate::world::{Dialogue, World};

/// Text of at least `length` bytes that no codec makes much smaller.
fn noise(length: usize) -> String {
    let mut text = String::from("Subject: large\r\n\r\n");
    let mut line = [0u8; 76];
    while text.len() < length {
        rand::rng().fill_bytes(&mut line);
        text.extend(line.iter().map(|byte| char::from(b'0' + byte % 64)));
        text.push_str("\r\n");
    }
    text
}

/// A world with memory for few large messages at once.
async fn small_world() -> World {
    let mut world = World::new().await;
    let settings = postrider_blob::Settings {
        part_size: 5 << 20,
        upload_memory: 10 << 20,
        ..Default::default()
    };
    let store = Store::nowhere(&settings);
    world.bodies = Bodies::new(
        world.meta.clone(),
        store,
        postrider_body::Settings::default(),
    );
    world
}

/// A message begins; so much of it comes, and then almost nothing.
async fn stall(world: &World, content: &str) -> Dialogue {
    let mut client = world.connect(Role::Mx).await;
    client.open("a@b.example", &["ann@example.test"]).await;
    client.say("DATA", "354").await;
    client.send(content).await;
    client
}

/// A byte every 20 seconds until the server has enough; how long that took.
async fn drip(mut client: Dialogue) -> Duration {
    let began = Instant::now();
    let reply = loop {
        client.send("x").await;
        if let Ok(reply) = tokio::time::timeout(Duration::from_secs(20), client.reply()).await {
            break reply.expect("a reply before the end");
        }
    };
    assert!(reply.starts_with("421 4.4.2"), "{reply}");
    client.closed().await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn what_came_fast_buys_no_hours_of_silence() {
    let world = World::new().await;
    let client = stall(&world, &noise(2 << 20)).await;
    let took = drip(client).await;
    assert!(took < Duration::from_secs(150), "{took:?}");
    assert!(world.inbox("ann@example.test").await.is_empty());

    let mut client = world.connect(Role::Mx).await;
    client.open("a@b.example", &["ann@example.test"]).await;
    client.send("BDAT 10000000 LAST\r\n").await;
    client.send(noise(2 << 20)).await;
    let took = drip(client).await;
    assert!(took < Duration::from_secs(150), "{took:?}");
    world.check().await;
}

#[tokio::test(start_paused = true)]
async fn who_keeps_the_rate_is_waited_for() {
    let world = World::new().await;
    let mut client = stall(&world, "Subject: slow\r\n\r\n").await;
    let line = format!("{}\r\n", "x".repeat(998));
    for _ in 0..200 {
        client.send(&line).await;
        sleep(Duration::from_secs(3)).await;
    }
    client.say(".", "250").await;
    client.quit().await;
    assert_eq!(world.inbox("ann@example.test").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn stalled_senders_do_not_keep_others_from_sending() {
    let world = small_world().await;
    // More than the memory holds: some stall while the last are still sending.
    let content = noise(200_000);
    let stalled: Vec<Dialogue> =
        futures::future::join_all((0..60).map(|_| stall(&world, &content))).await;
    let mut stalled = stalled.into_iter();
    // One goes on after a while, when others have taken its memory.
    let mut late = stalled.next().unwrap();
    let drips: Vec<_> = stalled.map(|client| tokio::spawn(drip(client))).collect();
    sleep(Duration::from_secs(1)).await;
    for _ in 0..3 {
        let mut honest = world.connect(Role::Mx).await;
        honest.open("good@b.example", &["bob@example.test"]).await;
        let began = Instant::now();
        honest.data(&noise(300_000), "250").await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(8), "{took:?}");
        honest.quit().await;
    }
    late.send(noise(200_000)).await;
    let reply = late.say(".", "452 4.3.1").await;
    assert!(reply.contains("too many large messages at once"), "{reply}");
    late.quit().await;
    for drip in drips {
        let took = drip.await.unwrap();
        assert!(took < Duration::from_secs(150), "{took:?}");
    }
    assert_eq!(world.inbox("bob@example.test").await.len(), 3);
    assert!(world.inbox("ann@example.test").await.is_empty());
    world.check().await;
}
