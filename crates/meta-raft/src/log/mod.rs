//! The Raft log: segment files of our own, preallocated, checksummed, with one
//! fdatasync per group of records on a thread of its own.
//!
//! Owns the vote, the committed id and the entries. An entry is readable when
//! `append` returns and durable when its callback is called. What was durable
//! is never lost silently: see `recover`.

mod entry;
mod open;
mod pen;
mod record;
mod recover;
mod segment;
mod shared;
mod storage;
mod writer;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub(crate) use self::segment::{make_dir, sync_dir};

use self::pen::Pen;
use self::shared::{Shared, Slot};
use crate::raft::{LogId, Vote};

/// How the log lies on disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Bytes of a segment.
    pub(crate) segment_bytes: u64,
    /// Durable entries are kept in memory up to this many bytes.
    pub(crate) cache_bytes: usize,
}

/// The log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Log {
    handle: Arc<Handle>,
}

/// Closes the log with its last user.
struct Handle {
    shared: Arc<Shared>,
    pen: Pen,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Log {
    /// Whether a log is in `dir`.
    pub(crate) fn exists(dir: &Path) -> bool {
        dir.exists()
    }

    /// Has what waits written.
    fn wake(&self) {
        self.handle.pen.wake(self.shared());
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }

    /// The last entry, or what was purged last.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.shared().state.lock().facts.last
    }

    /// Whom this node has voted for, or follows.
    pub(crate) fn vote(&self) -> Option<Vote> {
        self.shared().state.lock().facts.vote
    }

    /// Entries up to here are gone.
    pub(crate) fn purged(&self) -> Option<LogId> {
        self.shared().state.lock().facts.purged
    }

    /// Entries up to here are known to be committed.
    pub(crate) fn committed(&self) -> Option<LogId> {
        self.shared().state.lock().facts.committed
    }

    /// The id of the entry at `index`, if it is in the log.
    pub(crate) fn id(&self, index: u64) -> Option<LogId> {
        let state = self.shared().state.lock();
        state.slot(index).map(|slot| slot.id)
    }

    /// How many of its entries are after `after` and up to `upto`, and about their bytes.
    pub(crate) fn length(&self, after: u64, upto: u64) -> (u64, u64) {
        let state = self.shared().state.lock();
        let bytes = |slot: &Slot| slot.location.map_or(slot.size, |place| place.length);
        let slots = state.slots.iter();
        let within = slots.filter(|slot| slot.id.index > after && slot.id.index <= upto);
        within.fold((0, 0), |(count, sum), slot| {
            (count + 1, sum + bytes(slot) as u64)
        })
    }

    /// Bytes of a torn tail that were cut when it was opened.
    pub(crate) fn cut_at_start(&self) -> u64 {
        self.shared().cut
    }

    /// Why it cannot be written any more.
    pub(crate) fn failure(&self) -> Option<String> {
        self.shared().failure()
    }

    /// Waits until the entry at `index` is durable here. One that is not in the
    /// log (any more) counts as durable.
    pub(crate) async fn durable(&self, index: u64) -> io::Result<()> {
        let ticket = {
            let state = self.shared().state.lock();
            state.slot(index).map_or(0, |slot| slot.ticket)
        };
        let mut flushed = self.shared().flushed.subscribe();
        let outcome = flushed.wait_for(|flushed| *flushed >= ticket).await;
        outcome.map(|_| ()).map_err(io::Error::other)?;
        match self.failure() {
            Some(text) => Err(io::Error::other(text)),
            None => Ok(()),
        }
    }

    /// Writes what is waiting and ends the thread. Blocks.
    pub(crate) fn close(&self) {
        self.shared().close();
        self.handle.pen.end();
    }

    /// Tells how many still have this log open, its writer among them.
    pub(crate) fn remains(&self) -> impl Fn() -> usize + use<> {
        let handle = Arc::downgrade(&self.handle);
        let shared = Arc::downgrade(&self.handle.shared);
        move || handle.strong_count() + shared.strong_count()
    }

    /// Makes the log unusable, as a failed write does.
    pub(crate) fn fail(&self, text: &str) {
        self.shared().fail(text);
    }
}
