//! Brings the log to the object store as it grows, and snapshots. For one node of the
//! cluster at a time; two at once waste room and break nothing.
//!
//! Entries are gathered in memory and put as one object when something in them
//! matters, so that a cluster that only renews its leases puts next to nothing.
//! Where the node's own log no longer holds what is missing, a new snapshot closes
//! the gap.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use postrider_types::Millis;
use tokio::time::Instant;

use super::segment::Draft;
use super::{Archive, Piece, failed};
use crate::blocking;
use crate::error::{Error, Result};
use crate::leader::Core;
use crate::node::Node;
use crate::snapshot::Stored;

/// A piece holds about this many bytes of entries at most.
pub(super) const PIECE: usize = 16 << 20;
/// So many entries that wait are worth a shorter pause.
const MANY: u64 = 256;
/// Entries that do not matter wait this long for others.
const QUIET: Duration = Duration::from_secs(3600);
/// A gap may be filled by the node that archived before, for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between looks whether there is a new snapshot.
const CARRY: Duration = Duration::from_secs(30);

/// How the archive of the log is doing, on the node that keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archiving {
    /// For how long something has waited to be archived; zero: nothing does.
    pub lag: Duration,
    /// The last entry that is archived; 0 before that is known.
    pub entry: u64,
}

/// Keeps the archive.
pub struct Archiver {
    core: Arc<Core>,
    archive: Archive,
    draft: Draft,
    /// The next entry to gather; not known at the beginning and after a gap.
    next: Option<u64>,
    /// Since when there may be something that is not archived.
    behind: Option<Instant>,
    /// Something in the draft matters.
    matters: bool,
    /// When the draft was put last.
    put: Instant,
    carried: Option<Instant>,
    /// The last entry that is archived.
    reached: u64,
    /// Since when this node's log begins behind the end of the archive.
    gap: Option<Instant>,
}

impl Drop for Archiver {
    fn drop(&mut self) {
        *self.core.archiving.lock() = None;
        gauge!("postrider_archive_lag_seconds").set(0.0);
        gauge!("postrider_archive_active").set(0.0);
        let draft = std::mem::replace(&mut self.draft, Draft::new(Millis(0)));
        // Another node goes on, whose log may begin later.
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !draft.is_empty()
        {
            let archive = self.archive.clone();
            runtime.spawn(async move {
                if let Err(error) = archive.put_draft(draft).await.1 {
                    tracing::info!(%error, "the last entries are left to the next node");
                }
            });
        }
    }
}

impl Node {
    /// Begins to keep the archive; None for a node that has none.
    pub fn archiver(&self) -> Option<Archiver> {
        let core = Arc::clone(self.core());
        let archive = core.archive.clone()?;
        gauge!("postrider_archive_active").set(1.0);
        Some(Archiver {
            archive,
            draft: Draft::new(Millis(0)),
            next: None,
            behind: Some(Instant::now()),
            matters: false,
            put: Instant::now(),
            carried: None,
            reached: 0,
            gap: None,
            core,
        })
    }

    /// How the archive is doing, where this node keeps it.
    pub fn archiving(&self) -> Option<Archiving> {
        *self.core().archiving.lock()
    }
}

impl Archiver {
    /// Does what is due: puts at most one piece of the log. Call it again after a
    /// second or two.
    pub async fn step(&mut self) -> Result<()> {
        let done = self.work().await;
        let lag = self.behind.map_or(Duration::ZERO, |since| since.elapsed());
        *self.core.archiving.lock() = Some(Archiving {
            lag,
            entry: self.reached,
        });
        gauge!("postrider_archive_lag_seconds").set(lag.as_secs_f64());
        done
    }

    /// Whether more waits than went into one piece: then a pause of a second is enough.
    pub fn more(&self) -> bool {
        let applied = *self.core.shared.applied.borrow();
        self.matters || self.next.is_some_and(|next| applied >= next + MANY)
    }

    async fn work(&mut self) -> Result<()> {
        if self.next.is_none() && !self.begin().await? {
            return Ok(());
        }
        let looked = Instant::now();
        let whole = self.gather().await?;
        if self.matters || self.draft.bytes() >= PIECE {
            self.behind.get_or_insert(looked);
        }
        let newest = self.core.shared.snapshots.newest();
        let snapshot = newest.as_ref().and_then(Stored::applied);
        let snapshot = snapshot.map_or(0, |id| id.index);
        let full = self.draft.bytes() >= PIECE;
        let due = self.matters || full || self.reached < snapshot || self.put.elapsed() >= QUIET;
        if due || !whole {
            self.flush().await?;
        }
        if !whole {
            // What is missing is in no log any more: from a snapshot on, then.
            self.behind.get_or_insert(looked);
            self.next = None;
            return Ok(());
        }
        // Not before the log: were this node to die between, a gap would be left.
        if self.reached >= snapshot && self.carried.is_none_or(|at| at.elapsed() >= CARRY) {
            self.carry(newest).await?;
        }
        let caught_up = self.next > Some(*self.core.shared.applied.borrow());
        if !self.matters && caught_up {
            self.behind = None;
        } else {
            self.behind = self
                .behind
                .map(|since| since.max(self.put))
                .or(Some(looked));
        }
        Ok(())
    }

    /// Finds out where the archive ends, and sees to it that this node's log goes
    /// on from there. False: not yet.
    async fn begin(&mut self) -> Result<bool> {
        let lineage = self.archive.lineage().await?;
        let Some(newest) = lineage.snapshots.last() else {
            let own = self.core.shared.snapshots.newest();
            if !self.carry(own).await? && self.core.has_room_for_snapshot() {
                // A chain begins with a snapshot; the next look finds it.
                let asked = self.core.raft.trigger().snapshot().await;
                asked.map_err(|error| Error::Raft(error.to_string()))?;
            }
            return Ok(false);
        };
        let end = lineage.reach(newest.id.index);
        let purged = self.core.log.purged().map_or(0, |id| id.index);
        if purged > end {
            // The node that did this before may be putting what is missing.
            let seen = *self.gap.get_or_insert_with(Instant::now);
            if seen.elapsed() >= PATIENCE {
                tracing::warn!("the log was cut before it was archived: a snapshot goes there");
                let own = self.core.shared.snapshots.newest();
                self.carry(own).await?;
            }
            return Ok(false);
        }
        self.gap = None;
        self.draft = Draft::new(lineage.newest().unwrap_or_default());
        self.matters = false;
        self.next = Some(end + 1);
        self.reached = end;
        self.put = Instant::now();
        tracing::info!(from = end + 1, "archives the log");
        Ok(true)
    }

    /// Brings a snapshot of this node to the archive unless one is there that holds as
    /// much. Whether it did.
    async fn carry(&mut self, own: Option<Stored>) -> Result<bool> {
        let carried = self.archive.carry(own).await?;
        self.carried = Some(Instant::now());
        Ok(carried)
    }

    /// Gathers what was applied since; false where the log lacks it.
    async fn gather(&mut self) -> Result<bool> {
        let applied = *self.core.shared.applied.borrow();
        while let Some(next) = self.next
            && next <= applied
            && self.draft.bytes() < PIECE
        {
            let room = PIECE - self.draft.bytes();
            let entries = self.core.log.read(next, applied + 1, room).await;
            let entries = entries.map_err(failed)?;
            let Some(last) = entries.last() else {
                return Ok(false);
            };
            self.next = Some(last.log_id.index + 1);
            for entry in &entries {
                self.matters |= self.draft.add(entry).map_err(failed)?;
            }
        }
        Ok(true)
    }

    /// Puts what was gathered.
    async fn flush(&mut self) -> Result<()> {
        if self.draft.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let time = self.draft.time();
        let draft = std::mem::replace(&mut self.draft, Draft::new(time));
        let (draft, put) = self.archive.put_draft(draft).await;
        // Until it is there it is not forgotten.
        self.draft = draft;
        if put.is_err() && self.draft.is_empty() {
            self.next = None;
        }
        let piece = put?;
        counter!("postrider_archive_pieces_total").increment(1);
        counter!("postrider_archive_bytes_total").increment(piece.bytes);
        tracing::debug!(
            first = piece.first,
            last = piece.last,
            bytes = piece.bytes,
            "archived a piece of the log"
        );
        self.draft = Draft::new(time);
        self.reached = piece.last;
        self.matters = false;
        self.put = began;
        Ok(())
    }

    /// Puts what is left: this node stops.
    pub async fn finish(mut self) -> Result<()> {
        self.flush().await
    }
}

impl Archive {
    /// Puts what was gathered; gives it back with what became of it.
    pub(super) async fn put_draft(&self, draft: Draft) -> (Draft, Result<Piece>) {
        let cluster = Arc::clone(&self.cluster);
        let time = draft.time();
        let seal = move || {
            let sealed = draft.seal(&cluster);
            (draft, sealed)
        };
        let (draft, sealed) = match blocking::run(seal).await {
            Ok(done) => done,
            // It panicked: what was in it comes from the log again.
            Err(error) => return (Draft::new(time), Err(failed(error))),
        };
        let sealed = sealed.map_err(failed);
        let sealed = sealed.and_then(|it| it.ok_or_else(|| failed("nothing was gathered")));
        match sealed {
            Ok(sealed) => (draft, self.put(sealed).await),
            Err(error) => (draft, Err(error)),
        }
    }

    /// Uploads the snapshot of a node, if it has one, unless one is there that holds as
    /// much. Whether it did.
    pub(crate) async fn carry(&self, own: Option<Stored>) -> Result<bool> {
        let Some(stored) = own else {
            return Ok(false);
        };
        let archived = self.newest().await?;
        if archived.is_some_and(|archived| Some(archived.id) >= stored.applied()) {
            return Ok(false);
        }
        self.upload(&stored).await?;
        Ok(true)
    }
}
