//! Damage in the object store is found, and told from an outage.

use std::time::Duration;

use postrider_body::{Error, Packer};
use postrider_types::BodyId;
use proptest::prelude::*;

use crate::faults::Fault;
use crate::support::{World, drain, message};

/// A packed text, a packed noise and a large body.
async fn stored(world: &World) -> Vec<(BodyId, Vec<u8>)> {
    let mut all = Vec::new();
    for body in [
        message(1, 9_000, false),
        message(2, 9_000, true),
        message(3, 200_000, false),
    ] {
        all.push((world.deliver(&body).await.0, body));
    }
    world.pass(Duration::from_secs(3600));
    assert_eq!(Packer::new(&world.bodies).step().await.unwrap().bodies, 2);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_flipped_bit_never_gives_wrong_bytes(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let bodies = stored(&world).await;
            let mut hit = 0;
            for key in world.keys().await {
                let sound = world.faults.bytes(&key).await;
                let mut broken = sound.clone();
                broken[at.index(sound.len())] ^= 1 << bit;
                world.faults.replace(&key, broken).await;
                let fresh = world.afresh();
                for (id, body) in &bodies {
                    match drain(&fresh, *id).await {
                        Ok(read) => assert!(read == *body),
                        Err(Error::Damaged { id: told, .. }) => {
                            assert_eq!(told, *id);
                            hit += 1;
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
                world.faults.replace(&key, sound).await;
            }
            // A bit in a frame's or the object's header may be without meaning.
            assert!(hit <= 2);
        });
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_middle_is_found() {
    let world = World::new().await;
    let bodies = stored(&world).await;
    for key in world.keys().await {
        let mut bytes = world.faults.bytes(&key).await;
        for byte in bytes.iter_mut().skip(1000).step_by(1000) {
            *byte ^= 1;
        }
        world.faults.replace(&key, bytes).await;
    }
    let fresh = world.afresh();
    // The text in the pack shrank to less than 1,000 bytes or was hit as well.
    for (id, _) in &bodies[1..] {
        assert!(matches!(
            drain(&fresh, *id).await,
            Err(Error::Damaged { .. })
        ));
    }
    assert!(fresh.available());
}

#[tokio::test]
async fn a_cut_or_missing_object_is_damage_and_no_outage() {
    let world = World::new().await;
    let bodies = stored(&world).await;
    for key in world.keys().await {
        let bytes = world.faults.bytes(&key).await;
        world.faults.replace(&key, bytes[..10].to_vec()).await;
    }
    let cut = world.afresh();
    for key in world.keys().await {
        world.store.delete(&key).await.unwrap();
    }
    let missing = world.afresh();
    for (id, _) in bodies {
        for bodies in [&cut, &missing] {
            let read = bodies.read(id, 100..200).await;
            assert!(matches!(read, Err(Error::Damaged { .. })), "{read:?}");
        }
    }
    assert!(cut.available() && missing.available());
}

#[tokio::test]
async fn a_bit_that_flips_on_the_way_is_mended_by_reading_again() {
    let world = World::new().await;
    for (id, body) in stored(&world).await {
        let bodies = world.afresh();
        world.faults.next("get", Fault::Flip);
        assert!(drain(&bodies, id).await.unwrap() == body);
    }
}
