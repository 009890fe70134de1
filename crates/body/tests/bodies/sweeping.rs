//! The sweeper: what it removes, and what it never touches.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use postrider_body::{Error, Needed, Sweeper, Swept};
use postrider_types::{Clock, Millis};
use tokio_util::sync::CancellationToken;

use crate::faults::Fault;
use crate::support::{World, drain, message};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn an_upload_without_its_command_is_removed_after_the_grace_period() {
    let world = World::new().await;
    let (kept, _) = world.deliver(&message(1, 100_000, true)).await;
    world.take(&message(2, 100_000, true)).await.unwrap();
    assert_eq!(world.keys().await.len(), 2);
    let sweeper = Sweeper::new(&world.bodies);
    world.pass(HOUR * 23);
    assert_eq!(sweeper.step().await.unwrap(), Swept::default());
    world.pass(HOUR * 2);
    let young = world.take(&message(3, 100_000, true)).await.unwrap();
    assert_eq!(
        sweeper.step().await.unwrap(),
        Swept {
            dead: 0,
            orphans: 1
        }
    );
    assert_eq!(world.keys().await.len(), 2);
    let id = young.id;
    world.accept(young).await;
    assert!(drain(&world.bodies, id).await.unwrap() == message(3, 100_000, true));
    assert!(drain(&world.afresh(), kept).await.unwrap() == message(1, 100_000, true));
}

#[tokio::test]
async fn a_removed_body_is_removed_after_the_grace_period() {
    let world = World::new().await;
    let (_, uid) = world.deliver(&message(1, 100_000, true)).await;
    world.pass(HOUR * 100);
    world.remove(uid).await;
    let sweeper = Sweeper::new(&world.bodies);
    assert_eq!(sweeper.step().await.unwrap(), Swept::default());
    world.pass(HOUR * 25);
    // A deletion whose reply is lost, or that fails for good, is done again.
    world.faults.next("delete", Fault::LostReply);
    assert_eq!(
        sweeper.step().await.unwrap(),
        Swept {
            dead: 1,
            orphans: 0
        }
    );
    assert!(world.keys().await.is_empty());
    assert_eq!(sweeper.step().await.unwrap(), Swept::default());
    world.consistent().await;
}

#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let world = World::new().await;
    for key in [
        "pack/zz/other",
        "body/notes.txt",
        "elsewhere/00/00000000000000000000000000000000",
    ] {
        world
            .store
            .put(key, vec![Bytes::from_static(b"x")])
            .await
            .unwrap();
    }
    world.pass(HOUR * 1000);
    assert_eq!(
        Sweeper::new(&world.bodies).step().await.unwrap(),
        Swept::default()
    );
    assert_eq!(world.keys().await.len(), 3);
}

#[tokio::test]
async fn it_sweeps_again_after_an_outage_and_stops_when_told() {
    let world = World::new().await;
    world.take(&message(2, 100_000, true)).await.unwrap();
    world.pass(HOUR * 48);
    world.faults.next("list", Fault::Status(503));
    let stop = CancellationToken::new();
    let job = tokio::spawn(Sweeper::new(&world.bodies).run(stop.clone()));
    let wait = async {
        while !world.keys().await.is_empty() {
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
}

#[tokio::test]
async fn what_a_backup_may_name_stays() {
    let world = World::new().await;
    let (_, uid) = world.deliver(&message(1, 100_000, true)).await;
    // Never committed here; a state of before may name it.
    world.take(&message(2, 100_000, true)).await.unwrap();
    world.pass(HOUR);
    let backup = world.clock.now();
    world.pass(HOUR);
    world.remove(uid).await;
    world.pass(HOUR * 100);
    let told: Arc<Mutex<Option<Option<Millis>>>> = Arc::default();
    let asked = told.clone();
    let needed: Needed = Arc::new(move || {
        let told = *asked.lock().unwrap();
        let away = || Error::Unavailable("the backups are not listed".into());
        async move { told.ok_or_else(away) }.boxed()
    });
    let sweeper = Sweeper::new(&world.bodies).keeping(needed);
    assert!(sweeper.step().await.is_err());
    assert_eq!(world.keys().await.len(), 2);
    // The backup is from before the removal, and from after the upload.
    *told.lock().unwrap() = Some(Some(backup));
    let (dead, orphans) = (0, 1);
    assert_eq!(sweeper.step().await.unwrap(), Swept { dead, orphans });
    *told.lock().unwrap() = Some(Some(world.clock.now()));
    let (dead, orphans) = (1, 0);
    assert_eq!(sweeper.step().await.unwrap(), Swept { dead, orphans });
    assert!(world.keys().await.is_empty());
    *told.lock().unwrap() = Some(None);
    assert_eq!(sweeper.step().await.unwrap(), Swept::default());
    world.consistent().await;
}
