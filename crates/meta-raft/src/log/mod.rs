//! The Raft log: segment files of our own, preallocated, checksummed, with one
//! fdatasync per group of records on a thread of its own.
//!
//! Owns the vote, the committed id and the entries. An entry is readable when
//! `append` returns and durable when its callback is called. What was durable
//! is never lost silently: see `recover`.

mod record;
mod recover;
mod segment;
mod storage;
mod writer;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use openraft::storage::IOFlushed;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{oneshot, watch};

pub(crate) use self::segment::{make_dir, sync_dir};

use self::record::{Facts, HEADER, Header, Kind, Mark, Record, SEGMENT_HEADER, SegmentHeader};
use self::recover::Location;
use self::writer::Writer;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::raft::{Entry, LogId, Payload, TypeConfig, Vote, term};

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

/// Who writes.
enum Pen {
    /// A thread of its own.
    Thread(Mutex<Option<JoinHandle<()>>>),
    /// Tasks of a runtime that has one thread, and never two at once.
    Here(Arc<Desk>),
}

/// A writer that is used in place.
struct Desk {
    /// None once the log is closed.
    writer: Mutex<Option<Writer>>,
    /// A task will take what is in the queue.
    called: AtomicBool,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// What the users of the log and its writer share.
struct Shared {
    dir: PathBuf,
    segment_bytes: u64,
    cache_bytes: usize,
    /// Locked before `queue` where both are.
    state: Mutex<State>,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// The highest ticket that is durable.
    flushed: watch::Sender<u64>,
    /// Bytes of a torn tail that were cut at start.
    cut: u64,
}

#[derive(Default)]
struct Queue {
    items: Vec<Item>,
    /// Something in it waits for the sync.
    urgent: bool,
    closed: bool,
}

struct Item {
    record: Record,
    ticket: u64,
    done: Done,
}

/// Who is told when an item is durable.
enum Done {
    Nobody,
    Raft(IOFlushed<TypeConfig>),
    Caller(oneshot::Sender<io::Result<()>>),
}

/// What is in the log, durable or not.
struct State {
    facts: Facts,
    /// The entries after what was purged, without a gap.
    slots: VecDeque<Slot>,
    /// Numbers everything that is written.
    tickets: u64,
    files: BTreeMap<u64, Opened>,
    /// Slots before this index hold no entry in memory.
    cached_from: u64,
    cached_bytes: usize,
    failure: Option<String>,
}

struct Slot {
    id: LogId,
    ticket: u64,
    /// Known once durable.
    location: Option<Location>,
    /// Always there until durable.
    entry: Option<Entry>,
    size: usize,
}

impl Log {
    /// Whether a log is in `dir`.
    pub(crate) fn exists(dir: &Path) -> bool {
        dir.exists()
    }

    /// Makes an empty log in `dir`, which does not exist, whole or not at all.
    pub(crate) fn create(dir: &Path, node: u64, layout: Layout) -> Result<()> {
        let draft = dir.with_extension("new");
        if draft.exists() {
            fs::remove_dir_all(&draft).map_err(Error::io("cannot remove", &draft))?;
        }
        segment::make_dir(&draft)?;
        let header = SegmentHeader {
            seed: crate::simulation::random(),
            node,
            sequence: 1,
            base: 0,
            size: layout.segment_bytes,
            facts: Facts::default(),
        };
        let path = segment::path(&draft, 1);
        let file = segment::allocate(&path, header.size)?;
        file.write_all_at(&header.encode(), 0)
            .and_then(|()| file.sync_all())
            .map_err(Error::io("cannot write", &path))?;
        let mark = Mark {
            seed: header.seed,
            counter: 0,
            synced: SEGMENT_HEADER as u64,
            sequence: 1,
        };
        let file = segment::open_mark(&draft)?;
        file.set_len(2 * record::MARK_SLOT as u64)
            .and_then(|()| segment::write_mark(&file, &mark))
            .and_then(|()| file.sync_all())
            .map_err(Error::io("cannot write the mark in", &draft))?;
        segment::sync_dir(&draft)?;
        fs::rename(&draft, dir).map_err(Error::io("cannot rename", &draft))?;
        segment::sync_dir(dir.parent().unwrap_or(Path::new(".")))
    }

    /// Opens the log in `dir`. Cuts a torn tail; refuses damage.
    pub(crate) fn open(dir: &Path, node: u64, layout: Layout) -> Result<Self> {
        let found = recover::recover(dir, node)?;
        if found.cut > 0 {
            tracing::warn!(
                bytes = found.cut,
                "cut a torn tail off the Raft log: a write that was never acknowledged"
            );
        }
        let slots = found.entries.iter().map(|(id, location)| Slot {
            id: *id,
            ticket: 0,
            location: Some(*location),
            entry: None,
            size: 0,
        });
        let slots: VecDeque<Slot> = slots.collect();
        let state = State {
            cached_from: slots.back().map_or(0, |slot| slot.id.index + 1),
            slots,
            facts: found.facts.clone(),
            tickets: 0,
            files: found
                .segments
                .iter()
                .map(|s| (s.header.sequence, Opened::new(&s.header, &s.file)))
                .collect(),
            cached_bytes: 0,
            failure: None,
        };
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            segment_bytes: layout.segment_bytes,
            cache_bytes: layout.cache_bytes,
            state: Mutex::new(state),
            queue: Mutex::default(),
            wake: Condvar::new(),
            flushed: watch::channel(0).0,
            cut: found.cut,
        });
        let writer = Writer::new(
            Arc::clone(&shared),
            found.segments,
            found.offset,
            found.facts,
            found.counter,
        )?;
        let pen = if crate::blocking::in_place() {
            Pen::Here(Arc::new(Desk {
                writer: Mutex::new(Some(writer)),
                called: AtomicBool::new(false),
            }))
        } else {
            let thread = thread::Builder::new()
                .name("raft-log".into())
                .spawn(move || writer.run())
                .map_err(Error::io("cannot start a thread for", dir))?;
            Pen::Thread(Mutex::new(Some(thread)))
        };
        Ok(Self {
            handle: Arc::new(Handle { shared, pen }),
        })
    }

    /// Has what waits written.
    fn wake(&self) {
        match &self.handle.pen {
            Pen::Thread(_) => {
                self.shared().wake.notify_one();
            }
            Pen::Here(desk) => desk.call(),
        }
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

    /// About the bytes of all entries.
    pub(crate) fn bytes(&self) -> u64 {
        let state = self.shared().state.lock();
        let bytes = |slot: &Slot| slot.location.map_or(slot.size, |place| place.length);
        state.slots.iter().map(|slot| bytes(slot) as u64).sum()
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
        match &self.handle.pen {
            Pen::Thread(thread) => {
                if let Some(thread) = thread.lock().take() {
                    // It does not panic; if it did, the log is as after a crash.
                    let _ = thread.join();
                }
            }
            Pen::Here(desk) => {
                if let Some(writer) = desk.writer.lock().take() {
                    writer.run();
                }
            }
        }
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

    /// The entry at `index`; None if it is not in the log. May read the disk.
    fn entry(&self, index: u64) -> io::Result<Option<Entry>> {
        let shared = self.shared();
        let (id, location, segment) = {
            let state = shared.state.lock();
            let Some(slot) = state.slot(index) else {
                return Ok(None);
            };
            if let Some(entry) = &slot.entry {
                return Ok(Some(entry.clone()));
            }
            let location = slot.location.expect("an entry is in memory or on disk");
            (
                slot.id,
                location,
                state.files.get(&location.sequence).cloned(),
            )
        };
        let segment =
            segment.ok_or_else(|| io::Error::other("the entry was purged while it was read"))?;
        let damaged = |reason: &str| {
            let path = self::segment::path(&shared.dir, location.sequence);
            let error = Error::damaged(&path, location.offset, reason);
            shared.fail(&error.to_string());
            io::Error::other(error)
        };
        let mut bytes = vec![0; HEADER + location.length];
        segment.file.read_exact_at(&mut bytes, location.offset)?;
        let (seed, position) = (segment.seed, segment.base + location.offset);
        let header = Header::read(seed, position, &bytes)
            .ok_or_else(|| damaged("the record of an entry cannot be read"))?;
        let body = Bytes::from(bytes).slice(HEADER..);
        if !header.fits(seed, &body) || header.index != id.index || header.term != term(&id) {
            return Err(damaged(
                "the record of an entry does not match its checksum",
            ));
        }
        let payload = decode(header.kind, body).map_err(|reason| damaged(&reason))?;
        Ok(Some(Entry {
            log_id: id,
            payload,
        }))
    }
}

impl Desk {
    /// Has a task write what waits. A simulated disk takes its time before the
    /// bytes are durable and again before anybody is told.
    fn call(self: &Arc<Self>) {
        if self.called.swap(true, Ordering::AcqRel) {
            return;
        }
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                if let Some(time) = crate::simulation::disk() {
                    tokio::time::sleep(time).await;
                }
                let written = desk.writer.lock().as_mut().and_then(Writer::write_waiting);
                let Some(written) = written else {
                    desk.called.store(false, Ordering::Release);
                    return;
                };
                if let Some(time) = crate::simulation::disk() {
                    tokio::time::sleep(time).await;
                }
                written.tell();
            }
        });
    }
}

/// A segment as readers need it.
#[derive(Clone)]
struct Opened {
    file: Arc<File>,
    seed: u64,
    base: u64,
}

impl Opened {
    fn new(header: &SegmentHeader, file: &Arc<File>) -> Self {
        Self {
            file: Arc::clone(file),
            seed: header.seed,
            base: header.base,
        }
    }
}

/// An entry as a record.
fn encode(entry: &Entry) -> io::Result<Record> {
    let (kind, body) = match &entry.payload {
        Payload::Blank => (Kind::Blank, Bytes::new()),
        Payload::Normal(batch) => (Kind::Batch, batch.bytes().clone()),
        Payload::Membership(members) => {
            let body = rmp_serde::to_vec_named(members).map_err(io::Error::other)?;
            (Kind::Membership, Bytes::from(body))
        }
    };
    if body.len() > record::MAX_BODY {
        return Err(io::Error::other("an entry is too large for the log"));
    }
    Ok(Record {
        kind,
        flag: true,
        term: term(&entry.log_id),
        index: entry.log_id.index,
        body,
    })
}

/// What an entry's record carries.
fn decode(kind: Kind, body: Bytes) -> std::result::Result<Payload, String> {
    match kind {
        Kind::Blank => Ok(Payload::Blank),
        Kind::Batch => Ok(Payload::Normal(Batch::from_bytes(body))),
        Kind::Membership => rmp_serde::from_slice(&body)
            .map(Payload::Membership)
            .map_err(|error| format!("a membership cannot be read: {error}")),
        _ => Err("the record is no entry".into()),
    }
}

impl State {
    fn first(&self) -> Option<u64> {
        self.slots.front().map(|slot| slot.id.index)
    }

    fn slot(&self, index: u64) -> Option<&Slot> {
        let at = index.checked_sub(self.first()?)?;
        self.slots.get(usize::try_from(at).ok()?)
    }

    fn slot_mut(&mut self, index: u64) -> Option<&mut Slot> {
        let at = index.checked_sub(self.first()?)?;
        self.slots.get_mut(usize::try_from(at).ok()?)
    }

    /// Gives up entries in memory, oldest first, that are on disk.
    fn trim(&mut self, limit: usize) {
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
    fn failure(&self) -> Option<String> {
        self.state.lock().failure.clone()
    }

    fn fail(&self, text: &str) {
        self.state
            .lock()
            .failure
            .get_or_insert_with(|| text.to_owned());
        // Wakes those who wait for durability: they see the failure.
        self.flushed.send_modify(|flushed| *flushed = u64::MAX);
    }

    fn close(&self) {
        self.queue.lock().closed = true;
        self.wake.notify_all();
    }

    /// A group is durable: (ticket, index, place) of each record.
    fn flushed(&self, places: &[(u64, u64, Option<Location>)]) {
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

    fn add_file(&self, header: &SegmentHeader, file: &Arc<File>) {
        let opened = Opened::new(header, file);
        self.state.lock().files.insert(header.sequence, opened);
    }

    fn drop_file(&self, sequence: u64) {
        self.state.lock().files.remove(&sequence);
    }

    /// Hands a record to the writer, under the state's lock, so that the order
    /// on disk is the order of the calls.
    fn push(&self, state: &mut State, record: Record, done: Done) -> io::Result<u64> {
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
