//! What the users of the log and its writer share: which entries there are, which of
//! them are durable, and what waits to be written. Touches no file.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use openraft::storage::IOFlushed;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{oneshot, watch};

use super::record::{Facts, Record, SegmentHeader};
use super::recover::Location;
use crate::raft::{Entry, LogId, TypeConfig};

/// What the users of the log and its writer share.
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) segment_bytes: u64,
    pub(super) cache_bytes: usize,
    /// Locked before `queue` where both are.
    pub(super) state: Mutex<State>,
    pub(super) queue: Mutex<Queue>,
    pub(super) wake: Condvar,
    /// The highest ticket that is durable.
    pub(super) flushed: watch::Sender<u64>,
    /// Bytes of a torn tail that were cut at start.
    pub(super) cut: u64,
}

#[derive(Default)]
pub(super) struct Queue {
    pub(super) items: Vec<Item>,
    /// Something in it waits for the sync.
    pub(super) urgent: bool,
    pub(super) closed: bool,
}

pub(super) struct Item {
    pub(super) record: Record,
    pub(super) ticket: u64,
    pub(super) done: Done,
}

/// Who is told when an item is durable.
pub(super) enum Done {
    Nobody,
    Raft(IOFlushed<TypeConfig>),
    Caller(oneshot::Sender<io::Result<()>>),
}

/// What is in the log, durable or not.
pub(super) struct State {
    pub(super) facts: Facts,
    /// The entries after what was purged, without a gap.
    pub(super) slots: VecDeque<Slot>,
    /// Numbers everything that is written.
    pub(super) tickets: u64,
    pub(super) files: BTreeMap<u64, Opened>,
    /// Slots before this index hold no entry in memory.
    pub(super) cached_from: u64,
    pub(super) cached_bytes: usize,
    pub(super) failure: Option<String>,
}

pub(super) struct Slot {
    pub(super) id: LogId,
    pub(super) ticket: u64,
    /// Known once durable.
    pub(super) location: Option<Location>,
    /// Always there until durable.
    pub(super) entry: Option<Entry>,
    pub(super) size: usize,
}

/// A segment as readers need it.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    pub(super) seed: u64,
    pub(super) base: u64,
}

impl Opened {
    pub(super) fn new(header: &SegmentHeader, file: &Arc<File>) -> Self {
        Self {
            file: Arc::clone(file),
            seed: header.seed,
            base: header.base,
        }
    }
}

impl State {
    pub(super) fn first(&self) -> Option<u64> {
        self.slots.front().map(|slot| slot.id.index)
    }

    pub(super) fn slot(&self, index: u64) -> Option<&Slot> {
        let at = index.checked_sub(self.first()?)?;
        self.slots.get(usize::try_from(at).ok()?)
    }

    pub(super) fn slot_mut(&mut self, index: u64) -> Option<&mut Slot> {
        let at = index.checked_sub(self.first()?)?;
        self.slots.get_mut(usize::try_from(at).ok()?)
    }

    /// Gives up entries in memory, oldest first, that are on disk.
    pub(super) fn trim(&mut self, limit: usize) {
        while self.cached_bytes > limit {
            let from = self.cached_from.max(self.first().unwrap_or(0));
            self.cached_from = from;
            let Some(slot) = self.slot_mut(from) else {
                return;
            };
            if slot.location.is_none() {
                return;
            }
            if slot.entry.take().is_some() {
                let size = slot.size;
                self.cached_bytes = self.cached_bytes.saturating_sub(size);
            }
            self.cached_from += 1;
        }
    }
}

impl Shared {
    pub(super) fn failure(&self) -> Option<String> {
        self.state.lock().failure.clone()
    }

    pub(super) fn fail(&self, text: &str) {
        self.state
            .lock()
            .failure
            .get_or_insert_with(|| text.to_owned());
        // Wakes those who wait for durability: they see the failure.
        self.flushed.send_modify(|flushed| *flushed = u64::MAX);
    }

    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.wake.notify_all();
    }

    /// A group is durable: (ticket, index, place) of each record.
    pub(super) fn flushed(&self, places: &[(u64, u64, Option<Location>)]) {
        let mut state = self.state.lock();
        for (ticket, index, location) in places {
            if location.is_some()
                && let Some(slot) = state.slot_mut(*index)
                && slot.ticket == *ticket
            {
                slot.location = *location;
            }
        }
        state.trim(self.cache_bytes);
        drop(state);
        if let Some((last, ..)) = places.last() {
            self.flushed
                .send_modify(|flushed| *flushed = (*flushed).max(*last));
        }
    }

    pub(super) fn add_file(&self, header: &SegmentHeader, file: &Arc<File>) {
        let opened = Opened::new(header, file);
        self.state.lock().files.insert(header.sequence, opened);
    }

    pub(super) fn drop_file(&self, sequence: u64) {
        self.state.lock().files.remove(&sequence);
    }

    /// Hands a record to the writer, under the state's lock, so that the order
    /// on disk is the order of the calls.
    pub(super) fn push(&self, state: &mut State, record: Record, done: Done) -> io::Result<u64> {
        if let Some(text) = &state.failure {
            return Err(io::Error::other(text.clone()));
        }
        state.tickets += 1;
        let ticket = state.tickets;
        state
            .facts
            .advance(record.kind, record.flag, record.term, record.index);
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(io::Error::other("the log is closed"));
        }
        queue.urgent |= !matches!(done, Done::Nobody);
        queue.items.push(Item {
            record,
            ticket,
            done,
        });
        Ok(ticket)
    }
}
