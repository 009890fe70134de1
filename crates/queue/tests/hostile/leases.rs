//! What becomes of a message while it is being sent.

use std::time::Duration;

use postrider_meta::command::{ChangeQueued, QueueChange};
use postrider_types::QueueId;

use crate::world::{Act, Moment, World};

/// A server that takes its time for each recipient.
fn slow_recipients(moment: &Moment<'_>) -> Act {
    match moment.command.starts_with("RCPT") {
        true => Act::AcceptLater,
        false => Act::Accept,
    }
}

/// A world in which the first message has come as far as its recipient.
async fn sending() -> World {
    let world = World::new(slow_recipients).await;
    world.publish("outside.test", &[&[[127, 0, 0, 1]]]);
    world.send("carl@outside.test").await;
    world.start(world.settings());
    let recipient = |command: &String| command.starts_with("0 RCPT");
    world.until(|met| met.commands.iter().any(recipient)).await;
    world
}

/// Waits until an entry's lease has this number, or until the entry has gone.
async fn lease_is(world: &World, number: Option<u64>) {
    let looking = async {
        while world.entry(1).await.map(|entry| entry.lease) != number {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let looked = tokio::time::timeout(Duration::from_secs(60), looking).await;
    looked.unwrap();
}

#[tokio::test]
async fn what_is_removed_or_held_while_it_is_sent_does_not_arrive() {
    for change in [QueueChange::Remove, QueueChange::Hold] {
        let world = sending().await;
        // A lease that was had only now is not asked about.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let command = ChangeQueued {
            ids: vec![QueueId(1)],
            change,
        };
        let changed = world.meta.run(command).await.unwrap().0;
        assert_eq!(changed.unwrap(), 1);
        world.go_on();
        world.send("dora@outside.test").await;
        let met = world.until(|met| !met.taken.is_empty()).await;
        assert_eq!(met.taken, ["<dora@outside.test>"]);
        world.stop().await;
    }
}

#[tokio::test]
async fn a_jump_of_the_clock_sends_nothing_twice() {
    let world = sending().await;
    world.clock.jump(Duration::from_secs(600));
    // Its lease has ended, and nobody else is there to take it.
    lease_is(&world, Some(2)).await;
    world.go_on();
    lease_is(&world, None).await;
    assert_eq!(world.met().taken, ["<carl@outside.test>"]);
    world.stop().await;
}
