//! The one thread that writes the log. It takes all that is waiting, lays it
//! out, writes it, and makes it durable with one fdatasync: a group. Owns the
//! layout of segments; what is in the log, readers learn from `Shared`.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::record::{Facts, HEADER, Kind, Mark, Record, SEGMENT_HEADER, SegmentHeader};
use super::recover::{Location, Segment};
use super::segment;
use super::shared::{Done, Item, Shared};
use crate::blocking;
use crate::error::{Error, Result};
use crate::raft::LogId;

/// Waits this long for more before the mark is synced.
const IDLE: Duration = Duration::from_secs(1);
/// A larger buffer is given back after use.
const KEEP_BUFFER: usize = 8 << 20;

/// The writer's place in the log.
pub(super) struct Writer {
    shared: Arc<Shared>,
    segments: Vec<Segment>,
    offset: u64,
    sealed: bool,
    /// The log is durable up to this position.
    synced: u64,
    facts: Facts,
    mark: fs::File,
    counter: u64,
    mark_dirty: bool,
    buffer: Vec<u8>,
    /// Where the buffer begins in the segment.
    buffer_at: u64,
    keeper: Keeper,
}

impl Writer {
    /// A writer that goes on at `offset` of the last segment.
    pub(super) fn new(
        shared: Arc<Shared>,
        segments: Vec<Segment>,
        offset: u64,
        facts: Facts,
        counter: u64,
    ) -> Result<Self> {
        let mark = segment::open_mark(&shared.dir)?;
        let last = segments.last().expect("a log has a segment");
        let sealed = offset == last.header.size;
        let synced = last.header.base + offset;
        let keeper = Keeper::start(shared.dir.clone(), shared.segment_bytes)?;
        let mut writer = Self {
            buffer_at: offset,
            shared,
            segments,
            offset,
            sealed,
            synced,
            facts,
            mark,
            counter,
            mark_dirty: false,
            buffer: Vec::new(),
            keeper,
        };
        // What was found may not be durable yet: it counts as durable from now on.
        writer
            .current()
            .file
            .sync_data()
            .map_err(|error| Error::io("cannot sync the log in", &writer.shared.dir)(error))?;
        // Nor its name, if the process was killed right after it had renamed the file.
        segment::sync_dir(&writer.shared.dir)?;
        writer
            .write_mark()
            .and_then(|()| writer.mark.sync_data())
            .map_err(Error::io("cannot write the mark in", &writer.shared.dir))?;
        Ok(writer)
    }

    /// Writes until the log is closed.
    pub(super) fn run(mut self) {
        loop {
            let (items, closed) = self.wait();
            if !items.is_empty() {
                self.group(items).tell();
            }
            if closed {
                self.idle();
                return;
            }
        }
    }

    /// Waits for something to write. Syncs the mark when idle.
    fn wait(&mut self) -> (Vec<Item>, bool) {
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.queue.lock();
        loop {
            if queue.urgent || queue.closed {
                queue.urgent = false;
                return (std::mem::take(&mut queue.items), queue.closed);
            }
            if !self.mark_dirty && queue.items.is_empty() {
                shared.wake.wait(&mut queue);
            } else if shared.wake.wait_for(&mut queue, IDLE).timed_out() && !queue.urgent {
                if !queue.items.is_empty() {
                    return (std::mem::take(&mut queue.items), queue.closed);
                }
                drop(queue);
                self.idle();
                queue = shared.queue.lock();
            }
        }
    }

    fn idle(&mut self) {
        if !self.mark_dirty {
            return;
        }
        self.mark_dirty = false;
        if let Err(error) = self.mark.sync_data() {
            self.shared
                .fail(&format!("cannot sync the mark of the log: {error}"));
        }
    }

    /// Writes what waits, on the caller's thread; None: nothing does.
    pub(super) fn write_waiting(&mut self) -> Option<Written> {
        let items = {
            let mut queue = self.shared.queue.lock();
            queue.urgent = false;
            std::mem::take(&mut queue.items)
        };
        if items.is_empty() {
            return None;
        }
        let written = self.group(items);
        self.idle();
        Some(written)
    }

    /// Writes a group.
    fn group(&mut self, items: Vec<Item>) -> Written {
        let began = Instant::now();
        let mut places = Vec::with_capacity(items.len());
        let result = match self.shared.failure() {
            Some(text) => Err(io::Error::other(text)),
            None => self.write(&items, &mut places),
        };
        metrics::histogram!("postrider_raft_log_sync_seconds")
            .record(began.elapsed().as_secs_f64());
        metrics::histogram!("postrider_raft_log_group_records").record(items.len() as f64);
        if result.is_ok() {
            self.remove_purged();
        }
        Written {
            shared: Arc::clone(&self.shared),
            items,
            places,
            result,
        }
    }

    fn write(
        &mut self,
        items: &[Item],
        places: &mut Vec<(u64, u64, Option<Location>)>,
    ) -> io::Result<()> {
        for item in items {
            let record = &item.record;
            if self.sealed
                || self.offset + record.span() + HEADER as u64 > self.current().header.size
            {
                self.rotate(record.span())?;
            }
            let location = record.kind.is_entry().then(|| Location {
                sequence: self.current().header.sequence,
                offset: self.offset,
                length: record.body.len(),
            });
            self.push(record);
            places.push((item.ticket, record.index, location));
        }
        self.sync()
    }

    /// Lays out one record behind the others.
    fn push(&mut self, record: &Record) {
        let header = &self.current().header;
        let (seed, position) = (header.seed, header.base + self.offset);
        record.encode(seed, position, self.synced, &mut self.buffer);
        self.offset += record.span();
        self.facts
            .advance(record.kind, record.flag, record.term, record.index);
        if record.kind.is_entry() {
            let segment = self.segments.last_mut().expect("a log has a segment");
            segment.highest = segment.highest.max(record.index);
        }
    }

    /// Makes everything laid out durable, then moves the mark.
    fn sync(&mut self) -> io::Result<()> {
        let file = Arc::clone(&self.current().file);
        file.write_all_at(&self.buffer, self.buffer_at)?;
        file.sync_data()?;
        self.buffer.clear();
        if self.buffer.capacity() > KEEP_BUFFER {
            self.buffer = Vec::new();
        }
        self.buffer_at = self.offset;
        self.synced = self.current().header.base + self.offset;
        self.write_mark()
    }

    fn write_mark(&mut self) -> io::Result<()> {
        self.counter += 1;
        self.mark_dirty = true;
        let header = &self.current().header;
        let mark = Mark {
            seed: header.seed,
            counter: self.counter,
            synced: self.synced,
            sequence: header.sequence,
        };
        segment::write_mark(&self.mark, &mark)
    }

    /// Seals the segment and begins the next, with room for `span` bytes.
    fn rotate(&mut self, span: u64) -> io::Result<()> {
        if !self.sealed {
            self.push(&Record::id(Kind::Seal, None));
            self.sync()?;
            self.sealed = true;
        }
        let needed = SEGMENT_HEADER as u64 + span + HEADER as u64;
        let size = self.shared.segment_bytes.max(needed.next_multiple_of(4096));
        let old = &self.current().header;
        let header = SegmentHeader {
            seed: old.seed,
            node: old.node,
            sequence: old.sequence + 1,
            base: old.base + old.size,
            size,
            facts: self.facts.clone(),
        };
        let file = Arc::new(self.keeper.begin(&header)?);
        segment::sync_dir(&self.shared.dir).map_err(io::Error::other)?;
        self.shared.add_file(&header, &file);
        self.segments.push(Segment {
            header,
            file,
            highest: 0,
        });
        self.sealed = false;
        self.offset = SEGMENT_HEADER as u64;
        self.buffer_at = self.offset;
        self.synced = self.current().header.base + self.offset;
        self.keeper.prepare();
        self.write_mark()?;
        self.mark.sync_data()
    }

    /// Removes the oldest segments once all their entries are purged.
    fn remove_purged(&mut self) {
        let purged = self.facts.purged.as_ref().map(|id: &LogId| id.index);
        while self.segments.len() > 1
            && purged.is_some_and(|purged| self.segments[0].highest <= purged)
        {
            let gone = self.segments.remove(0);
            let sequence = gone.header.sequence;
            self.shared.drop_file(sequence);
            self.keeper
                .remove(segment::path(&self.shared.dir, sequence));
        }
        metrics::gauge!("postrider_raft_log_segments").set(self.segments.len() as f64);
    }

    fn current(&self) -> &Segment {
        self.segments.last().expect("a log has a segment")
    }
}

/// A group that was written, or was not.
pub(super) struct Written {
    shared: Arc<Shared>,
    items: Vec<Item>,
    places: Vec<(u64, u64, Option<Location>)>,
    result: io::Result<()>,
}

impl Written {
    /// Tells everybody in it.
    pub(super) fn tell(self) {
        // It may have failed meanwhile.
        let failed = self
            .shared
            .failure()
            .map_or(Ok(()), |text| Err(io::Error::other(text)));
        match self.result.and(failed) {
            Ok(()) => {
                self.shared.flushed(&self.places);
                for item in self.items {
                    item.done.tell(Ok(()));
                }
            }
            Err(error) => {
                // A failed fsync may have dropped the pages: never write on.
                let text = format!("the Raft log cannot be written: {error}");
                self.shared.fail(&text);
                tracing::error!(%error, "the Raft log cannot be written; this node stops");
                for item in self.items {
                    item.done.tell(Err(io::Error::other(text.clone())));
                }
            }
        }
    }
}

impl Done {
    fn tell(self, result: io::Result<()>) {
        match self {
            Self::Nobody => {}
            Self::Raft(callback) => callback.io_completed(result),
            Self::Caller(sender) => {
                // The caller may have gone.
                let _ = sender.send(result);
            }
        }
    }
}

/// Makes the next segment ready and removes old ones, on a thread of its own:
/// both take long. In place on a runtime of one thread.
struct Keeper {
    /// None in place, and once it is being dropped.
    sender: Option<Sender<Work>>,
    thread: Option<thread::JoinHandle<()>>,
    spare: Arc<Mutex<Option<fs::File>>>,
    dir: PathBuf,
    size: u64,
}

enum Work {
    Prepare,
    Remove(PathBuf),
}

impl Keeper {
    fn start(dir: PathBuf, size: u64) -> Result<Self> {
        let mut keeper = Self {
            sender: None,
            thread: None,
            spare: Arc::default(),
            dir,
            size,
        };
        if !blocking::in_place() {
            let (sender, receiver) = channel::<Work>();
            let path = segment::spare_path(&keeper.dir);
            let spare = Arc::clone(&keeper.spare);
            let keep = move || {
                receiver
                    .iter()
                    .for_each(|work| work.run(&path, size, &spare))
            };
            let thread = thread::Builder::new()
                .name("raft-log-keeper".into())
                .spawn(keep)
                .map_err(Error::io("cannot start a thread for", &keeper.dir))?;
            keeper.sender = Some(sender);
            keeper.thread = Some(thread);
        }
        keeper.prepare();
        Ok(keeper)
    }

    fn prepare(&self) {
        self.send(Work::Prepare);
    }

    fn remove(&self, path: PathBuf) {
        self.send(Work::Remove(path));
    }

    fn send(&self, work: Work) {
        match &self.sender {
            // The thread ends only when this sender does.
            Some(sender) => drop(sender.send(work)),
            None => work.run(&segment::spare_path(&self.dir), self.size, &self.spare),
        }
    }

    /// Begins a segment: in the spare file if that has the size, else in a new
    /// one. Nothing is made ready before the file has left the spare's name: it
    /// would be made in the very file that was taken.
    fn begin(&self, header: &SegmentHeader) -> io::Result<fs::File> {
        let mut spare = self.spare.lock();
        let path = segment::spare_path(&self.dir);
        let file = match spare.take() {
            Some(file) if header.size == self.size => file,
            _ => segment::allocate(&path, header.size).map_err(io::Error::other)?,
        };
        file.write_all_at(&header.encode(), 0)?;
        file.sync_data()?;
        fs::rename(path, segment::path(&self.dir, header.sequence))?;
        Ok(file)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, there is nothing to undo.
            let _ = thread.join();
        }
    }
}

impl Work {
    fn run(self, path: &Path, size: u64, spare: &Mutex<Option<fs::File>>) {
        match self {
            Self::Prepare => {
                let mut spare = spare.lock();
                if spare.is_none() {
                    match segment::allocate(path, size) {
                        Ok(file) => *spare = Some(file),
                        Err(error) => tracing::warn!(%error, "no spare log segment"),
                    }
                }
            }
            Self::Remove(path) => {
                if let Err(error) = fs::remove_file(&path) {
                    tracing::warn!(path = %path.display(), %error, "cannot remove a log segment");
                }
            }
        }
    }
}
