//! The log as openraft wants it.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

use futures::stream::{self, Stream};
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use tokio::sync::oneshot;

use super::Log;
use super::entry::encode;
use super::record::{Kind, Record};
use super::shared::{Done, Slot, State};
use crate::raft::{Entry, LogId, TypeConfig, Vote};

/// One answer to a follower or to the state machine holds about this many bytes.
const READ_BYTES: usize = 4 << 20;

impl Log {
    /// Writes a record and waits until it is durable.
    async fn record(&self, record: Record, before: impl FnOnce(&mut State)) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.shared().state.lock();
            before(&mut state);
            self.shared()
                .push(&mut state, record, Done::Caller(sender))?;
        }
        self.wake();
        receiver
            .await
            .map_err(|_| io::Error::other("the log was closed"))?
    }

    /// Entries from `from` on, before `to`, up to about `bytes`, at least one.
    pub(crate) async fn read(&self, from: u64, to: u64, bytes: usize) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        let mut size = 0;
        for index in from..to {
            // In memory nearly always: only what is not goes to a blocking thread.
            let cached = {
                let state = self.shared().state.lock();
                state.slot(index).map(|slot| slot.entry.clone())
            };
            let entry = match cached {
                None => break,
                Some(Some(entry)) => entry,
                Some(None) => {
                    let log = self.clone();
                    let read = crate::blocking::run(move || log.entry(index));
                    match read.await.map_err(io::Error::other)?? {
                        Some(entry) => entry,
                        None => break,
                    }
                }
            };
            size += size_of_entry(&entry);
            found.push(entry);
            if size >= bytes {
                break;
            }
        }
        Ok(found)
    }

    /// The range in numbers, within what the log holds.
    fn bounds(&self, range: &impl RangeBounds<u64>) -> (u64, u64) {
        let state = self.shared().state.lock();
        let first = state.first().unwrap_or(0);
        let end = first + state.slots.len() as u64;
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(from) => from.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(to) => to.saturating_add(1),
            Bound::Excluded(to) => *to,
            Bound::Unbounded => u64::MAX,
        };
        (from.max(first), to.min(end))
    }
}

/// About the memory of an entry.
fn size_of_entry(entry: &Entry) -> usize {
    match &entry.payload {
        crate::raft::Payload::Normal(batch) => batch.bytes().len() + 128,
        _ => 256,
    }
}

impl RaftLogReader<TypeConfig> for Log {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + openraft::OptionalSend,
    {
        let (from, to) = self.bounds(&range);
        self.read(from, to, usize::MAX).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.shared().state.lock().facts.vote)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, READ_BYTES).await
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + openraft::OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + openraft::OptionalSend,
    {
        let (from, to) = self.bounds(&range);
        let log = self.clone();
        let start = (log, from, Vec::new().into_iter());
        stream::try_unfold(start, move |(log, next, mut ready)| async move {
            loop {
                if let Some(entry) = ready.next() {
                    return Ok(Some((entry, (log, next + 1, ready))));
                }
                if next >= to {
                    return Ok(None);
                }
                ready = log.read(next, to, READ_BYTES).await?.into_iter();
                if ready.len() == 0 {
                    return Err(io::Error::other(format!("entry {next} is not in the log")));
                }
            }
        })
    }
}

impl RaftLogStorage<TypeConfig> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let state = self.shared().state.lock();
        Ok(LogState {
            last_purged_log_id: state.facts.purged,
            last_log_id: state.facts.last,
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.record(Record::vote(vote), |_| {}).await
    }

    /// Not urgent: it is written with the next group. After a crash the state
    /// engine or the next leader knows better.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let record = Record::id(Kind::Committed, committed.as_ref());
        let mut state = self.shared().state.lock();
        self.shared().push(&mut state, record, Done::Nobody)?;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.committed())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + openraft::OptionalSend,
        I::IntoIter: openraft::OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let Some(last) = entries.last().map(|entry| entry.log_id.index) else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        {
            let shared = self.shared();
            let mut callback = Some(callback);
            let mut state = shared.state.lock();
            for entry in entries {
                let index = entry.log_id.index;
                if state.facts.last.is_some_and(|last| last.index + 1 != index) {
                    return Err(io::Error::other("entries must be appended without a gap"));
                }
                let done = match callback.take_if(|_| index == last) {
                    Some(callback) => Done::Raft(callback),
                    None => Done::Nobody,
                };
                let ticket = shared.push(&mut state, encode(&entry)?, done)?;
                let size = size_of_entry(&entry);
                state.cached_bytes += size;
                state.slots.push_back(Slot {
                    id: entry.log_id,
                    ticket,
                    location: None,
                    entry: Some(entry),
                    size,
                });
            }
        }
        self.wake();
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        if last >= self.last() {
            return Ok(());
        }
        if last < self.committed() {
            // A majority had these entries, and now one without them leads: some disk was put
            // back to an older state. Whatever this node has applied of them is with nobody
            // else any more, and must not be taken for the state of the others.
            let text = "the leader lacks entries that were committed here: the data folder of \
                        another node is an old copy. Nothing was removed here. Stop the node \
                        whose folder was put back and run `postrider cluster rejoin` there";
            self.shared().fail(text);
            return Err(io::Error::other(text));
        }
        self.record(Record::id(Kind::Truncate, last.as_ref()), |state| {
            let keep = last.map_or(0, |id| id.index + 1);
            while state.slots.back().is_some_and(|s| s.id.index >= keep) {
                if let Some(slot) = state.slots.pop_back()
                    && slot.entry.is_some()
                {
                    state.cached_bytes = state.cached_bytes.saturating_sub(slot.size);
                }
            }
            state.cached_from = state.cached_from.min(keep);
        })
        .await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.record(Record::id(Kind::Purge, Some(&upto)), |state| {
            while state
                .slots
                .front()
                .is_some_and(|s| s.id.index <= upto.index)
            {
                if let Some(slot) = state.slots.pop_front()
                    && slot.entry.is_some()
                {
                    state.cached_bytes = state.cached_bytes.saturating_sub(slot.size);
                }
            }
        })
        .await
    }
}
