//! Removes objects in which nothing lives any more, and objects that nobody ever
//! came to know, each after a grace period.
//!
//! Nothing younger than the grace period is touched, and nothing that a backup may
//! name ([`Needed`]): a reader may still be in a
//! dead object, and an upload whose command is under way looks like an orphan. The
//! metadata store refuses objects long before they reach that age. And nothing is
//! touched in an object store that is not the metadata's own (`ownership.rs`).

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use metrics::counter;
use postrider_blob::Listed;
use postrider_meta::ReadAt;
use postrider_meta::command::ForgetObject;
use postrider_meta::query::{DeadObjects, KnownObjects};
use postrider_types::{Clock, Millis};
use tokio_util::sync::CancellationToken;

use crate::background::Loop;
use crate::bodies::Shared;
use crate::{Bodies, Error, key};

/// Keys in one question to the metadata store.
const BATCH: usize = 1000;

/// Objects that are removed at the same time.
const AT_ONCE: usize = 8;

/// What one sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects in which nothing had lived for the grace period.
    pub dead: u64,
    /// Objects that the metadata store did not know.
    pub orphans: u64,
}

/// Tells since when all that was in use is needed still, for backups that may be
/// restored: what nobody uses since before that may go. None: there are none. An
/// error: it cannot be told, and nothing goes.
pub type Needed = Arc<dyn Fn() -> BoxFuture<'static, Result<Option<Millis>, Error>> + Send + Sync>;

/// The sweeper. One is enough for a cluster; several do no harm but waste.
pub struct Sweeper {
    shared: Arc<Shared>,
    needed: Option<Needed>,
    /// Tells what is old; None: the clock of the bodies.
    clock: Option<Arc<dyn Clock>>,
}

impl Sweeper {
    /// A sweeper of the objects of `bodies`.
    pub fn new(bodies: &Bodies) -> Self {
        Self {
            shared: bodies.shared.clone(),
            needed: None,
            clock: None,
        }
    }

    /// The same, but it keeps what backups need.
    pub fn keeping(self, needed: Needed) -> Self {
        Self {
            needed: Some(needed),
            ..self
        }
    }

    /// The same, but `clock` tells what is old: one that does not jump ahead, as an
    /// upload whose command is under way would be taken for an old one.
    pub fn by(self, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock: Some(clock),
            ..self
        }
    }

    /// Sweeps until `shutdown`, as often as the settings say. While one of the
    /// stores is away it waits and logs once.
    pub async fn run(self, shutdown: CancellationToken) {
        let every = self.shared.settings.sweep_every;
        let mut pace = Loop::new("sweeping objects", shutdown.clone());
        loop {
            let step = tokio::select! {
                () = shutdown.cancelled() => return,
                step = self.step() => step,
            };
            if !pace.pause(step.map(|_| every)).await {
                return;
            }
        }
    }

    /// One sweep over everything.
    pub async fn step(&self) -> Result<Swept, Error> {
        // To metadata that is not theirs all objects are orphans.
        let verified = self.shared.verify_store().await;
        verified.map_err(|error| Error::Unavailable(error.to_string()))?;
        let now = match &self.clock {
            Some(clock) => clock.now(),
            None => self.shared.meta.clock().now(),
        };
        let before = self.shared.before(now, self.needed.as_ref()).await?;
        let mut swept = Swept {
            dead: self.dead(before).await?,
            orphans: 0,
        };
        for kind in [key::SINGLES, key::PACKS] {
            swept.orphans += self.orphans(kind, before).await?;
        }
        // Files that are half written are in no backup.
        let left = now.before(self.shared.settings.grace);
        self.shared.blobs.remove_remnants(left).await?;
        counter!("postrider_body_objects_removed_total", "why" => "dead").increment(swept.dead);
        counter!("postrider_body_objects_removed_total", "why" => "orphan")
            .increment(swept.orphans);
        if swept != Swept::default() {
            tracing::info!(
                dead = swept.dead,
                orphans = swept.orphans,
                "removed objects"
            );
        }
        Ok(swept)
    }

    /// Removes objects that are dead since before `before`, then their rows: the
    /// other way round a crash in between would leave an unknown object that has
    /// to wait for another sweep.
    async fn dead(&self, before: Millis) -> Result<u64, Error> {
        let mut removed = 0;
        loop {
            // From the start each time: what was removed is no longer told.
            let query = DeadObjects {
                before,
                after: None,
                limit: BATCH as u32,
            };
            let (page, _) = self.shared.meta.ask(query, ReadAt::Latest).await?;
            if page.items.is_empty() {
                return Ok(removed);
            }
            let dead = page.items.len() as u64;
            let removals = page.items.into_iter();
            let removals = removals.map(|object| async move { self.remove(&object.key).await });
            let forgotten = stream::iter(removals)
                .buffer_unordered(AT_ONCE)
                .try_fold(0, |sum, gone| async move { Ok(sum + u64::from(gone)) })
                .await?;
            removed += forgotten;
            if forgotten < dead {
                return Ok(removed);
            }
        }
    }

    /// Removes a dead object and its row; false if the row has come to life.
    async fn remove(&self, key: &str) -> Result<bool, Error> {
        self.shared.blobs.delete(key).await?;
        match self
            .shared
            .meta
            .run(ForgetObject { key: key.into() })
            .await?
            .0
        {
            Ok(()) => Ok(true),
            Err(refusal) => {
                tracing::error!(object = key, %refusal, "a removed object cannot be forgotten");
                Ok(false)
            }
        }
    }

    /// Removes objects of a kind that are older than `before` and unknown.
    async fn orphans(&self, kind: &str, before: Millis) -> Result<u64, Error> {
        let mut removed = 0;
        let mut batch: Vec<String> = Vec::new();
        let mut listing = self.shared.blobs.list(kind);
        loop {
            let found = listing.try_next().await?;
            let last = found.is_none();
            batch.extend(
                found
                    .filter(|found| is_old(found, before))
                    .map(|found| found.key),
            );
            if batch.len() == BATCH || (last && !batch.is_empty()) {
                removed += self.remove_unknown(std::mem::take(&mut batch)).await?;
            }
            if last {
                return Ok(removed);
            }
        }
    }

    async fn remove_unknown(&self, keys: Vec<String>) -> Result<u64, Error> {
        let query = KnownObjects { keys: keys.clone() };
        let (known, _) = self.shared.meta.ask(query, ReadAt::Latest).await?;
        if known.len() != keys.len() {
            return Err(Error::Unavailable(
                "the metadata store gave a wrong answer".into(),
            ));
        }
        let unknown = keys.into_iter().zip(known).filter(|(_, known)| !known);
        let removals = unknown.map(|(key, _)| async move { self.shared.blobs.delete(&key).await });
        let gone = stream::iter(removals)
            .buffer_unordered(AT_ONCE)
            .try_fold(0, |sum, ()| async move { Ok(sum + 1) })
            .await?;
        Ok(gone)
    }
}

impl Shared {
    /// What is dead or unknown since before this may go.
    pub(crate) async fn before(
        &self,
        now: Millis,
        needed: Option<&Needed>,
    ) -> Result<Millis, Error> {
        let before = now.before(self.settings.grace);
        let needed = match needed {
            Some(needed) => needed().await?,
            None => None,
        };
        Ok(needed.map_or(before, |needed| before.min(needed)))
    }
}

/// Whether an object is older than `before` by its key and by the store's clock.
/// One whose key is not ours is never old.
pub(crate) fn is_old(found: &Listed, before: Millis) -> bool {
    let Some(id) = key::id(&found.key) else {
        return false;
    };
    id.made_at() < before && found.modified < before
}
