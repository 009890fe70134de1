//! Whose objects they are: under metadata that is not theirs, none is removed.

use std::time::Duration;

use postrider_body::{Bodies, Error, OwnershipError, Packer, Sweeper};

use crate::faults::Fault;
use crate::support::{STORE_ID, World, message};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A packed body, a large one and an orphan, all old enough to be swept.
async fn filled() -> World {
    let world = World::new().await;
    world.deliver(&message(1, 4_096, false)).await;
    world.deliver(&message(2, 100_000, true)).await;
    world.take(&message(3, 100_000, true)).await.unwrap();
    world.pass(Duration::from_secs(3600));
    assert_eq!(Packer::new(&world.bodies).step().await.unwrap().bodies, 1);
    world.pass(DAY * 2);
    world
}

/// A sweep with `bodies` fails and removes nothing.
async fn sweeps_nothing(world: &World, bodies: &Bodies) {
    let before = world.keys().await;
    let swept = Sweeper::new(bodies).step().await;
    assert!(matches!(swept, Err(Error::Unavailable(_))), "{swept:?}");
    assert_eq!(world.keys().await, before);
    assert_eq!(world.faults.count("delete"), 0);
}

#[tokio::test]
async fn empty_metadata_removes_nothing_and_takes_no_store_that_has_an_owner() {
    let world = filled().await;
    let amnesic = world.amnesic();
    sweeps_nothing(&world, &amnesic).await;
    let refused = amnesic.claim_store(&amnesic.new_store_id()).await;
    let Err(error @ OwnershipError::Foreign { .. }) = refused else {
        panic!("{refused:?}");
    };
    let text = error.to_string();
    assert!(text.contains("another Postrider store") && text.contains("mounted"));
    assert_eq!(amnesic.store_id().await.unwrap(), None);
    sweeps_nothing(&world, &amnesic).await;

    world.bodies.verify_store().await.unwrap();
    assert_eq!(Sweeper::new(&world.bodies).step().await.unwrap().orphans, 1);
}

#[tokio::test]
async fn under_another_id_none_at_all_or_without_an_answer_nothing_is_removed() {
    let world = filled().await;
    let ours = world.faults.bytes(STORE_ID).await;
    for other in ["f".repeat(32), "short".into()] {
        world.faults.replace(STORE_ID, other.into_bytes()).await;
        let verified = world.bodies.verify_store().await;
        assert!(matches!(verified, Err(OwnershipError::Foreign { .. })));
        sweeps_nothing(&world, &world.bodies).await;
    }
    world.store.delete(STORE_ID).await.unwrap();
    let verified = world.bodies.verify_store().await;
    assert!(matches!(verified, Err(OwnershipError::Missing { .. })));
    let swept = Sweeper::new(&world.bodies).step().await;
    assert!(swept.is_err());
    assert_eq!(world.keys().await.len(), 3);
    world.faults.replace(STORE_ID, ours).await;
    assert_eq!(Sweeper::new(&world.bodies).step().await.unwrap().orphans, 1);
}

#[tokio::test]
async fn a_store_that_is_away_is_nobody_elses() {
    let world = filled().await;
    world.faults.away(true);
    let verified = world.bodies.verify_store().await.unwrap_err();
    assert!(verified.is_transient(), "{verified}");
    sweeps_nothing(&world, &world.bodies).await;
}

#[tokio::test]
async fn a_claim_is_finished_after_an_interruption() {
    let world = World::new().await;
    world.store.delete(STORE_ID).await.unwrap();
    let fresh = world.amnesic();
    let id = fresh.new_store_id();
    let unclaimed = fresh.verify_store().await;
    assert!(matches!(unclaimed, Err(OwnershipError::Unclaimed)));
    // The object is there, but its id did not come into the metadata.
    world.faults.replace(STORE_ID, id.clone().into()).await;
    fresh.claim_store(&id).await.unwrap();
    fresh.claim_store(&id).await.unwrap();
    fresh.verify_store().await.unwrap();
    assert_eq!(fresh.store_id().await.unwrap(), Some(id));
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_a_claim() {
    let world = World::new().await;
    world.store.delete(STORE_ID).await.unwrap();
    let fresh = world.amnesic();
    world.faults.next("put", Fault::LostReply);
    fresh.claim_store(&fresh.new_store_id()).await.unwrap();
    fresh.verify_store().await.unwrap();
    // The metadata from before no longer owns it.
    let before = world.bodies.verify_store().await;
    assert!(matches!(before, Err(OwnershipError::Foreign { .. })));
}
