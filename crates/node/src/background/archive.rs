//! Keeps the archive in the object store, on the node whose work it is, and tells the
//! sweeper what it needs. What lies there is the business of `postrider-meta-raft`.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use postrider_blob::Store;
use postrider_body::{Bodies, Needed};
use postrider_meta::Error;
use postrider_meta_raft::{Archive, Archiver, Node, Tidier};
use postrider_types::{Clock, Millis, SystemClock};
use tokio_util::sync::CancellationToken;

use super::Pace;

/// Between two pieces of the log that go to the object store.
const EVERY: Duration = Duration::from_secs(2);
/// Between looks at what may be put together, and at what has outlived its time.
const TIDY_EVERY: Duration = Duration::from_secs(600);

/// Keeps the archive until `stop`: the log as it grows, new snapshots, nothing that is
/// older than `retention` by `clock`. Were that one to jump ahead, all would be too old.
pub(crate) async fn archive(
    replica: Arc<Node>,
    bodies: Bodies,
    retention: Duration,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let (Some(archiver), Some(tidier)) = (replica.archiver(), replica.tidier()) else {
        return stop.cancelled().await;
    };
    // What comes in waits for no tidying.
    tokio::join!(
        keep(archiver, stop.clone()),
        tidy(tidier, bodies, retention, clock, stop)
    );
}

async fn keep(mut archiver: Archiver, stop: CancellationToken) {
    let mut pace = Pace::new("archive", EVERY, stop);
    while pace.step(keep_step(&mut archiver)).await {}
    // The next node goes on behind it.
    if let Err(error) = archiver.finish().await {
        tracing::info!(%error, "the last entries are left to the next node to archive");
    }
}

async fn keep_step(archiver: &mut Archiver) -> Result<bool, Error> {
    archiver.step().await.map_err(failed)?;
    if archiver.more() {
        tokio::time::sleep(EVERY / 2).await;
        return Ok(true);
    }
    Ok(false)
}

async fn tidy(
    mut tidier: Tidier,
    bodies: Bodies,
    retention: Duration,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let mut pace = Pace::new("tidying of the archive", TIDY_EVERY, stop);
    while pace
        .step(tidy_step(
            &mut tidier,
            &bodies,
            clock.now().before(retention),
        ))
        .await
    {}
}

async fn tidy_step(tidier: &mut Tidier, bodies: &Bodies, cutoff: Millis) -> Result<bool, Error> {
    // One that another cluster was recovered from changes nothing any more.
    bodies.verify_store().await.map_err(failed)?;
    tidier.prune(cutoff).await.map_err(failed)?;
    tidier.merge().await.map_err(failed)?;
    Ok(false)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Failed(error.to_string())
}

/// Tells the sweeper what backups of up to `retention` ago need: what was in use
/// then, and in the oldest state that is kept.
pub(crate) fn needed(blobs: Arc<Store>, retention: Duration) -> Needed {
    Arc::new(move || {
        let blobs = blobs.clone();
        let oldest = async move {
            let oldest = Archive::oldest(&blobs).await;
            let oldest =
                oldest.map_err(|error| postrider_body::Error::Unavailable(error.to_string()))?;
            let since = SystemClock.now().before(retention);
            Ok(oldest.map(|oldest| oldest.min(since)))
        };
        oldest.boxed()
    })
}
