//! Background work on the metadata: purging what was deleted, trimming what is
//! old, telling how much waits. Each step is one bounded command; the packer and the sweeper of bodies
//! pace themselves.

mod archive;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use metrics::gauge;
use postrider_blob::Store;
use postrider_meta::{Client, Error, ReadAt, command, limit, query};
use postrider_types::{BodyId, Clock, CommandId};
use tokio_util::sync::CancellationToken;

pub(crate) use self::archive::{archive, needed};
use crate::telemetry;

/// Between two folds of the histograms' samples.
const FOLD_EVERY: Duration = Duration::from_secs(5);
/// Between looks at the object store.
const PROBE_EVERY: Duration = Duration::from_secs(20);
/// Between looks whether there is something to purge.
const PURGE_EVERY: Duration = Duration::from_secs(5);
/// Messages in one step of a purge: a few milliseconds' work.
const PURGE_STEP: u32 = 500;
/// Between looks at the queue.
const QUEUE_EVERY: Duration = Duration::from_secs(15);
/// Between two trims.
const TRIM_EVERY: Duration = Duration::from_secs(30);

/// Runs `job` and cancels `broken` if it ends before `stop`: it panicked, and
/// what it does for all of the node would silently stay undone.
pub(crate) async fn watched(
    name: &'static str,
    job: impl Future<Output = ()>,
    stop: CancellationToken,
    broken: CancellationToken,
) {
    // The panic hook has logged the cause.
    let _ = AssertUnwindSafe(job).catch_unwind().await;
    if !stop.is_cancelled() {
        tracing::error!(
            job = name,
            "a background job has ended: the node must start again"
        );
        broken.cancel();
    }
}

/// Folds what histograms have collected until `stop`: unscraped, it would grow
/// without bound.
pub(crate) async fn fold_metrics(stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(FOLD_EVERY) => {}
        }
        if let Some(recorder) = telemetry::recorder() {
            recorder.run_upkeep();
        }
    }
}

/// Looks whether the object store takes and gives objects until `stop`: a node
/// that has nothing to do there would not notice that it is away.
pub(crate) async fn probe(blobs: Arc<Store>, stop: CancellationToken) {
    loop {
        // What it finds, the store tells by itself.
        let _ = blobs.probe().await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PROBE_EVERY) => {}
        }
    }
}

/// Purges deleted mailboxes and accounts until `stop`.
pub(crate) async fn purge(meta: Client, stop: CancellationToken) {
    let mut pace = Pace::new("purge", PURGE_EVERY, stop);
    while pace.step(purge_step(&meta)).await {}
}

async fn purge_step(meta: &Client) -> Result<bool, Error> {
    let (backlog, _) = meta.ask(query::Unfinished {}, ReadAt::Latest).await?;
    if !backlog.purge {
        return Ok(false);
    }
    let (verdict, _) = meta.run(command::Purge { limit: PURGE_STEP }).await?;
    Ok(verdict.is_ok_and(|purged| purged.more))
}

/// Trims the change log, the verdicts of old commands, the history of messages and
/// the TLS policies that have ended until `stop`. `clock` tells what is old: were it
/// to jump ahead, verdicts would be forgotten of commands that may come again.
pub(crate) async fn trim(meta: Client, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let mut pace = Pace::new("trim", TRIM_EVERY, stop);
    while pace.step(trim_step(&meta, &*clock)).await {}
}

async fn trim_step(meta: &Client, clock: &dyn Clock) -> Result<bool, Error> {
    let now = clock.now();
    let trim = command::Trim {
        dedup_before: CommandId::floor(now.before(limit::VERDICTS)),
        history_before: BodyId::floor(now.before(limit::HISTORY_AGE)),
    };
    let (verdict, _) = meta.run(trim).await?;
    Ok(verdict.is_ok_and(|trimmed| trimmed.more))
}

/// Tells the metrics how much waits in the queue until `stop`. On every node: were
/// it one alone, its last figures would stay in its metrics when another takes over.
pub(crate) async fn watch_queue(meta: Client, stop: CancellationToken) {
    let mut pace = Pace::new("queue metrics", QUEUE_EVERY, stop);
    while pace.step(watch_queue_step(&meta)).await {}
}

async fn watch_queue_step(meta: &Client) -> Result<bool, Error> {
    let (stats, _) = meta.ask(query::QueueStats {}, ReadAt::Latest).await?;
    let now = meta.clock().now();
    let age = stats.oldest.map(|oldest| now.since(oldest));
    gauge!("postrider_queue_entries").set(stats.entries as f64);
    gauge!("postrider_queue_held").set(stats.held as f64);
    gauge!("postrider_queue_destinations").set(stats.destinations as f64);
    gauge!("postrider_queue_oldest_seconds").set(age.unwrap_or_default().as_secs_f64());
    Ok(false)
}

/// The pace of a job: on at once while there is more to do, else after a pause.
/// Failures are logged when they begin and when they end.
struct Pace {
    job: &'static str,
    pause: Duration,
    stop: CancellationToken,
    failing: bool,
}

impl Pace {
    fn new(job: &'static str, pause: Duration, stop: CancellationToken) -> Self {
        let failing = false;
        Self {
            job,
            pause,
            stop,
            failing,
        }
    }

    /// Does a step and waits as its result asks for; false when it is time to
    /// stop. What the step waits for may be away: it is dropped then.
    async fn step(&mut self, step: impl Future<Output = Result<bool, Error>>) -> bool {
        let done = tokio::select! {
            () = self.stop.cancelled() => return false,
            done = step => done,
        };
        self.after(done).await
    }

    /// Waits as a step's result asks for; false when it is time to stop.
    async fn after(&mut self, step: Result<bool, Error>) -> bool {
        let job = self.job;
        match &step {
            Ok(_) if self.failing => tracing::info!(job, "goes on"),
            Err(error) if !self.failing && !self.stop.is_cancelled() => {
                tracing::warn!(job, %error, "is held up; it is tried again");
            }
            _ => {}
        }
        self.failing = step.is_err();
        if step.is_ok_and(|more| more) {
            // Others come first.
            tokio::task::yield_now().await;
            return !self.stop.is_cancelled();
        }
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(self.pause) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_breaks_the_node_and_one_that_is_stopped_does_not() {
        let (stop, broken) = (CancellationToken::new(), CancellationToken::new());
        let stopped = stop.clone();
        let job = async move { stopped.cancelled().await };
        stop.cancel();
        watched("stopped", job, stop, broken.clone()).await;
        assert!(!broken.is_cancelled());
        let job = async { panic!("on purpose") };
        watched("panics", job, CancellationToken::new(), broken.clone()).await;
        assert!(broken.is_cancelled());
    }
}
