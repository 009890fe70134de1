//! The verifier: what differs is named, and what is under way is no difference.

use std::time::Duration;

use postrider_blob::Store;
use postrider_body::{Bodies, Packer, Verified, Verifier};
use postrider_types::BodyId;

use crate::support::{World, message};

const HOUR: Duration = Duration::from_secs(3600);

/// Two packed bodies, a large one, and an inline one.
async fn stored(world: &World) -> Vec<BodyId> {
    let mut ids = Vec::new();
    for body in [
        message(1, 9_000, false),
        message(2, 9_000, true),
        message(3, 2_000_000, true),
    ] {
        ids.push(world.deliver(&body).await.0);
    }
    world.pass(HOUR);
    assert_eq!(Packer::new(&world.bodies).step().await.unwrap().bodies, 2);
    ids.push(world.deliver(&message(4, 500, false)).await.0);
    ids
}

/// What is said about bodies, objects and unknown ones; and what waits for the sweep.
async fn verify(bodies: &Bodies) -> ([Vec<String>; 3], Vec<String>) {
    let verifier = Verifier::new(bodies, None);
    let (mut told, mut waiting) = ([const { Vec::new() }; 3], Vec::new());
    let mut after = None;
    loop {
        let step = verifier.bodies(after).await.unwrap();
        told[0].extend(step.problems);
        after = step.next;
        if after.is_none() {
            break;
        }
    }
    told[1] = verifier.objects(None).await.unwrap().problems;
    let mut folder = Some(0);
    while let Some(number) = folder {
        let step: Verified<u32> = verifier.unknown(number).await.unwrap();
        told[2].extend(step.problems);
        waiting.extend(step.waiting);
        folder = step.next;
    }
    (told, waiting)
}

fn none() -> ([Vec<String>; 3], Vec<String>) {
    Default::default()
}

#[tokio::test]
async fn what_is_as_it_should_be_is_no_difference() {
    let world = World::new().await;
    stored(&world).await;
    assert_eq!(verify(&world.bodies).await, none());
    let found = Verifier::new(&world.bodies, None).bodies(None).await;
    let found = found.unwrap();
    assert_eq!(found.checked, 4);
    assert!(found.bytes > 2_000_000, "{}", found.bytes);
}

#[tokio::test]
async fn a_flipped_byte_a_short_object_and_a_lost_one_are_named() {
    let world = World::new().await;
    let ids = stored(&world).await;
    let pack = world.object(ids[1]).await.unwrap();
    let single = world.object(ids[2]).await.unwrap();
    for (key, id) in [(&pack, ids[1]), (&single, ids[2])] {
        let sound = world.faults.bytes(key).await;
        let mut broken = sound.clone();
        // The second body of the pack, and a block of the large one.
        let at = sound.len() - sound.len() / 3;
        broken[at] ^= 1;
        world.faults.replace(key, broken).await;
        let ([bodies, objects, _], _) = verify(&world.bodies).await;
        assert!(
            bodies.len() == 1 && bodies[0].contains(&id.to_string()),
            "{bodies:?}"
        );
        assert!(objects.is_empty(), "{objects:?}");

        world
            .faults
            .replace(key, sound[..sound.len() - 1].to_vec())
            .await;
        let ([bodies, objects, _], _) = verify(&world.bodies).await;
        assert!(
            bodies.len() == 1 && bodies[0].contains(&id.to_string()),
            "{bodies:?}"
        );
        assert!(
            objects.len() == 1 && objects[0].contains(key.as_str()),
            "{objects:?}"
        );
        world.faults.replace(key, sound).await;
    }
    let store: &Store = &world.store;
    store.delete(&pack).await.unwrap();
    let ([bodies, objects, _], _) = verify(&world.bodies).await;
    assert_eq!(
        (bodies.len(), objects.len()),
        (2, 1),
        "{bodies:?} {objects:?}"
    );
    assert!(objects[0].contains("missing"), "{objects:?}");
}

#[tokio::test]
async fn unknown_objects_wait_for_the_sweep_and_are_told_when_it_fails() {
    let world = World::new().await;
    stored(&world).await;
    world.take(&message(5, 100_000, true)).await.unwrap();
    // It may be under way.
    assert_eq!(verify(&world.bodies).await, none());
    world.pass(12 * HOUR);
    let (told, waiting) = verify(&world.bodies).await;
    assert_eq!((told, waiting.len()), (none().0, 1));
    world.pass(48 * HOUR);
    let ([_, _, unknown], waiting) = verify(&world.bodies).await;
    assert_eq!((unknown.len(), waiting.len()), (1, 0), "{unknown:?}");
}
