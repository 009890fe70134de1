//! Destinations that hold connections: others are served all the same.

use std::net::IpAddr;

use postrider_queue::Settings;

use crate::world::{Act, Met, Moment, World};

const GOOD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));

/// All servers but the good one are silent from the start.
fn script(moment: &Moment<'_>) -> Act {
    match moment.at == GOOD {
        true => Act::Accept,
        false => Act::Silence,
    }
}

/// Connections to the others.
fn slow(met: &Met) -> usize {
    met.open.iter().filter(|at| **at != GOOD).count()
}

#[tokio::test]
async fn many_names_at_one_slow_address_do_not_take_all_connections() {
    let world = World::new(script).await;
    world.publish("good.test", &[&[[127, 0, 0, 1]]]);
    for number in 0..60 {
        world.publish(&format!("slow{number}.test"), &[&[[127, 0, 2, 1]]]);
    }
    for number in 0..59 {
        world.send(&format!("carl@slow{number}.test")).await;
    }
    world.start(Settings {
        connections: 50,
        ..world.settings()
    });
    world.until(|met| slow(met) == 20).await;
    world.send("carl@slow59.test").await;
    world.send("carl@good.test").await;
    let met = world.until(|met| !met.taken.is_empty()).await;
    assert_eq!(slow(&met), 20);
    // The last one waits for those before it, and that is no attempt.
    let waiting = world.rests("slow59.test").await;
    let why = waiting.last_error.unwrap();
    assert!(why.contains("127.0.2.1"), "{why}");
    assert_eq!(world.entry(60).await.unwrap().attempts, 0);
    world.stop().await;
}

#[tokio::test]
async fn destinations_that_never_took_a_message_leave_connections_to_those_that_did() {
    let world = World::new(script).await;
    world.publish("good.test", &[&[[127, 0, 0, 1]]]);
    world.send("carl@good.test").await;
    world.start(Settings {
        connections: 8,
        ..world.settings()
    });
    world.until(|met| met.taken.len() == 1).await;
    for number in 1..=30 {
        let name = format!("slow{number}.test");
        world.publish(&name, &[&[[127, 0, 3, number]]]);
    }
    for number in 1..30 {
        world.send(&format!("carl@slow{number}.test")).await;
    }
    world.until(|met| slow(met) == 4).await;
    world.send("carl@slow30.test").await;
    world.send("dora@good.test").await;
    let met = world.until(|met| met.taken.len() == 2).await;
    assert_eq!(slow(&met), 4);
    let waiting = world.rests("slow30.test").await;
    let why = waiting.last_error.unwrap();
    assert!(why.contains("not taken a message yet"), "{why}");
    world.stop().await;
}
