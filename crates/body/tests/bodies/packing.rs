//! The packer: when it packs, what it costs, and what it survives.

use std::sync::atomic::Ordering;
use std::time::Duration;

use postrider_body::{Error, Packed, Packer, Settings, Sweeper};
use postrider_types::{BodyId, Uid};
use tokio_util::sync::CancellationToken;

use crate::faults::Fault;
use crate::support::{World, drain, message};

const HOUR: Duration = Duration::from_secs(3600);

async fn deliver(world: &World, count: u64) -> Vec<(BodyId, Uid)> {
    let mut all = Vec::new();
    for seed in 0..count {
        all.push(
            world
                .deliver(&message(seed, 4_096, seed.is_multiple_of(2)))
                .await,
        );
        world.pass(Duration::from_millis(1));
    }
    all
}

async fn whole(world: &World, all: &[(BodyId, Uid)]) {
    let fresh = world.afresh();
    for (seed, (id, _)) in all.iter().enumerate() {
        let seed = seed as u64;
        assert_eq!(
            drain(&fresh, *id).await.unwrap(),
            message(seed, 4_096, seed.is_multiple_of(2))
        );
    }
    world.consistent().await;
}

#[tokio::test]
async fn a_thousand_messages_cost_one_put() {
    let world = World::new().await;
    let all = deliver(&world, 1000).await;
    world.pass(HOUR);
    let mut packer = Packer::new(&world.bodies);
    let packed = packer.step().await.unwrap();
    assert_eq!((packed.bodies, packed.more), (1000, false));
    assert_eq!(world.faults.count("put"), 1);
    assert_eq!(world.keys().await.len(), 1);
    assert_eq!(packer.step().await.unwrap(), Packed::default());
    whole(&world, &all).await;
}

#[tokio::test]
async fn young_bodies_wait_and_old_ones_do_not_wait_for_company() {
    let world = World::new().await;
    let mut packer = Packer::new(&world.bodies);
    let (id, _) = world.deliver(&message(1, 4_096, false)).await;
    for _ in 0..59 {
        assert_eq!(packer.step().await.unwrap(), Packed::default());
        world.pass(Duration::from_secs(1));
    }
    assert!(world.object(id).await.is_none());
    world.pass(Duration::from_secs(2));
    assert_eq!(packer.step().await.unwrap().bodies, 1);
    assert!(world.object(id).await.is_some());
}

#[tokio::test]
async fn a_full_pack_does_not_wait() {
    let settings = Settings {
        pack_size: 64 << 10,
        ..Settings::default()
    };
    let world = World::with(settings).await;
    let all = deliver(&world, 40).await;
    world.pass(Duration::from_secs(31));
    let packed = Packer::new(&world.bodies).step().await.unwrap();
    assert!(
        packed.more && packed.bodies >= 10 && packed.bodies < 40,
        "{packed:?}"
    );
    assert!(packed.bytes <= 80 << 10);
    whole(&world, &all).await;
}

#[tokio::test]
async fn a_crash_between_put_and_relocate_loses_nothing_and_is_swept() {
    let world = World::new().await;
    let all = deliver(&world, 20).await;
    world.pass(HOUR);
    world.relocate.store(false, Ordering::Relaxed);
    let mut packer = Packer::new(&world.bodies);
    assert!(matches!(packer.step().await, Err(Error::Unavailable(_))));
    let orphan = world.keys().await;
    assert_eq!(orphan.len(), 1);
    whole(&world, &all).await;

    world.relocate.store(true, Ordering::Relaxed);
    assert_eq!(packer.step().await.unwrap().bodies, 20);
    let sweeper = Sweeper::new(&world.bodies);
    world.pass(HOUR * 23);
    assert_eq!(
        sweeper.step().await.unwrap().orphans,
        0,
        "it may still be under way"
    );
    world.pass(HOUR * 2);
    assert_eq!(sweeper.step().await.unwrap().orphans, 1);
    assert!(!world.keys().await.contains(&orphan[0]));
    whole(&world, &all).await;
}

#[tokio::test]
async fn two_packers_at_once_move_each_body_once() {
    let world = World::new().await;
    let all = deliver(&world, 50).await;
    world.pass(HOUR);
    let (mut one, mut two) = (Packer::new(&world.bodies), Packer::new(&world.bodies));
    let (one, two) = tokio::join!(one.step(), two.step());
    assert_eq!(one.unwrap().bodies + two.unwrap().bodies, 50);
    whole(&world, &all).await;
}

#[tokio::test]
async fn a_body_that_was_removed_meanwhile_is_passed_over() {
    let world = World::new().await;
    let mut all = deliver(&world, 10).await;
    world.pass(HOUR);
    // The put fails a few times; meanwhile the last message goes.
    world.faults.next("put", Fault::Status(503));
    let (_, uid) = all.pop().unwrap();
    let mut packer = Packer::new(&world.bodies);
    let (packed, ()) = tokio::join!(packer.step(), world.remove(uid));
    assert!(packed.unwrap().bodies >= 9);
    whole(&world, &all).await;
}

#[tokio::test]
async fn a_pack_that_is_half_empty_is_rewritten_and_the_old_one_goes() {
    let world = World::new().await;
    let mut all = deliver(&world, 100).await;
    world.pass(HOUR);
    let mut packer = Packer::new(&world.bodies);
    packer.step().await.unwrap();
    let old = world.object(all[0].0).await.unwrap();
    assert_eq!(
        packer.rewrite().await.unwrap(),
        Packed::default(),
        "all of it lives"
    );
    for (_, uid) in all.drain(40..) {
        world.remove(uid).await;
    }
    // A reader from before, that has not read yet.
    world.faults.away(true);
    let slow = world.afresh();
    let reader = slow.open(all[7].0).await.unwrap();
    world.faults.away(false);

    let rewritten = packer.rewrite().await.unwrap();
    assert_eq!((rewritten.bodies, rewritten.more), (40, false));
    assert_ne!(world.object(all[0].0).await.unwrap(), old);
    assert_eq!(
        packer.rewrite().await.unwrap(),
        Packed::default(),
        "nothing more to do"
    );
    whole(&world, &all).await;

    let sweeper = Sweeper::new(&world.bodies);
    world.pass(HOUR * 23);
    assert_eq!(
        sweeper.step().await.unwrap().dead,
        0,
        "somebody may still read it"
    );
    world.pass(HOUR * 2);
    assert_eq!(sweeper.step().await.unwrap().dead, 1);
    assert!(!world.keys().await.contains(&old));
    assert_eq!(sweeper.step().await.unwrap().dead, 0);
    whole(&world, &all).await;

    let back = async {
        while !slow.available() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back)
        .await
        .unwrap();
    let read = reader.read(0..4_096).await.unwrap();
    assert!(
        message(7, 4_096, false).starts_with(&read[..]),
        "it follows the move"
    );
}

#[tokio::test]
async fn a_damaged_body_is_not_moved_and_hides_no_other() {
    let world = World::new().await;
    let mut all = deliver(&world, 20).await;
    world.pass(HOUR);
    let mut packer = Packer::new(&world.bodies);
    packer.step().await.unwrap();
    for (_, uid) in all.drain(5..) {
        world.remove(uid).await;
    }
    let key = world.object(all[0].0).await.unwrap();
    let mut bytes = world.faults.bytes(&key).await;
    bytes[4_096 * 2 + 100] ^= 1;
    world.faults.replace(&key, bytes).await;
    assert_eq!(packer.rewrite().await.unwrap().bodies, 4);
    assert_eq!(world.object(all[2].0).await.unwrap(), key);
    let read = world.afresh().read(all[2].0, 0..10).await;
    assert!(matches!(read, Err(Error::Damaged { .. })));
}

#[tokio::test]
async fn it_goes_on_when_the_bucket_is_back_and_stops_when_told() {
    let world = World::new().await;
    let all = deliver(&world, 5).await;
    world.pass(HOUR);
    world.faults.away(true);
    let stop = CancellationToken::new();
    let job = tokio::spawn(Packer::new(&world.bodies).run(stop.clone()));
    let wait = async {
        while world.bodies.available() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        world.faults.away(false);
        while world.object(all[0].0).await.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait)
        .await
        .unwrap();
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(30), job)
        .await
        .unwrap()
        .unwrap();
    whole(&world, &all).await;
}

#[tokio::test]
async fn a_body_that_is_stored_late_is_packed_too() {
    let world = World::new().await;
    let mut packer = Packer::new(&world.bodies);
    // Its id is made when its first byte comes, and then its sender is slow.
    let late = world.take(&message(0, 4_096, false)).await.unwrap();
    let id = late.id;
    world.pass(Duration::from_secs(60));
    let (first, _) = world.deliver(&message(1, 4_096, false)).await;
    world.pass(HOUR);
    assert_eq!(packer.step().await.unwrap().bodies, 1);
    assert!(world.object(first).await.is_some());
    world.accept(late).await;
    for _ in 0..60 {
        packer.step().await.unwrap();
    }
    assert!(world.object(id).await.is_some());
    world.consistent().await;
}
