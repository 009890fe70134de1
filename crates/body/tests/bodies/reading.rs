//! Reading: ranges, many at once, few requests.

use std::time::Duration;

use postrider_body::{Error, Packer};
use postrider_types::BodyId;
use proptest::prelude::*;

use crate::support::{World, message};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_range_is_the_same_slice(
        size in 0usize..500_000, noise in any::<bool>(), ranges in prop::collection::vec(any::<(u32, u32)>(), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let body = message(1, size, noise);
            let (id, _) = world.deliver(&body).await;
            let reader = world.bodies.open(id).await.unwrap();
            assert_eq!((reader.id(), reader.size()), (id, body.len() as u64));
            for (a, b) in ranges {
                // Some reach behind the end, and some stand on their head.
                let limit = body.len() as u32 + 100;
                let (a, b) = (a % limit, b % limit);
                let wanted = body.get(a as usize..(b as usize).min(body.len())).unwrap_or_default();
                let read = reader.read(a.into()..b.into()).await.unwrap();
                assert!(read == wanted, "{a}..{b}");
                assert!(world.bodies.read(id, a.into()..b.into()).await.unwrap() == wanted);
            }
        });
    }
}

#[tokio::test]
async fn many_bodies_open_at_once_and_packed_ones_come_in_few_requests() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for seed in 0..300 {
        ids.push(world.deliver(&message(seed, 4_096, false)).await.0);
        world.pass(Duration::from_millis(1));
    }
    world.pass(Duration::from_secs(3600));
    let packed = Packer::new(&world.bodies).step().await.unwrap();
    assert_eq!(packed.bodies, 300);
    let (inline, _) = world.deliver(&message(300, 4_096, false)).await;
    let (large, _) = world.deliver(&message(301, 400_000, true)).await;
    let unknown = BodyId::from_bytes([7; 16]);
    ids.extend([inline, unknown, large]);

    let before = world.faults.count("get");
    let bodies = world.afresh();
    let readers = bodies.open_many(&ids).await.unwrap();
    assert_eq!(readers.len(), 303);
    assert!(readers[301].is_none());
    for (seed, reader) in readers.iter().enumerate().filter(|(seed, _)| *seed < 301) {
        let reader = reader.as_ref().unwrap();
        let all = reader.read(0..u64::MAX).await.unwrap();
        assert_eq!(all, message(seed as u64, 4_096, false));
    }
    assert_eq!(
        world.faults.count("get") - before,
        1,
        "one request for a pack of 300"
    );
    let read = readers[302]
        .as_ref()
        .unwrap()
        .read(100_000..100_010)
        .await
        .unwrap();
    assert_eq!(read, message(301, 400_000, true)[100_000..100_010]);
    assert!(bodies.open_many(&[]).await.unwrap().is_empty());
    assert!(matches!(
        bodies.open(unknown).await,
        Err(Error::NotFound(_))
    ));
}

#[tokio::test]
async fn a_large_body_in_small_pieces_costs_a_few_requests() {
    let world = World::new().await;
    let body = message(1, 10 << 20, true);
    let (id, _) = world.deliver(&body).await;
    let bodies = world.afresh();
    let before = world.faults.count("get");
    for start in (0..body.len()).step_by(10_240) {
        // A new reader each time, as FETCH BODY[]<partial> does.
        let end = (start + 10_240).min(body.len());
        let read = bodies.read(id, start as u64..end as u64).await.unwrap();
        assert!(read == body[start..end]);
    }
    let cost = world.faults.count("get") - before;
    assert!(cost <= 16, "{cost} requests");
}

#[tokio::test]
async fn a_limit_is_kept() {
    let world = World::new().await;
    let (id, _) = world.deliver(&message(1, 100_000, true)).await;
    let refused = world.bodies.read_all(id, 99_999).await;
    assert!(matches!(refused, Err(Error::TooLarge { limit: 99_999 })));
    assert_eq!(
        world.bodies.read_all(id, 100_000).await.unwrap().len(),
        100_000
    );
}

#[tokio::test]
async fn a_body_in_a_bucket_that_is_away_is_unavailable_and_not_lost() {
    let world = World::new().await;
    let (packed, _) = world.deliver(&message(1, 4_096, false)).await;
    let (large, _) = world.deliver(&message(2, 100_000, true)).await;
    world.pass(Duration::from_secs(3600));
    Packer::new(&world.bodies).step().await.unwrap();
    let (inline, _) = world.deliver(&message(3, 4_096, false)).await;
    world.faults.away(true);
    let bodies = world.afresh();
    let readers = bodies.open_many(&[packed, large, inline]).await.unwrap();
    for reader in readers.iter().flatten() {
        let read = reader.read(0..10).await;
        if reader.id() == inline {
            assert_eq!(read.unwrap(), "Subject: m");
        } else {
            assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
        }
    }
}
