//! What the vote in the bucket remembers, and the rules of Raft by which it
//! changes: whom it has voted for, and which entries it has. Pure: reads and
//! writes nothing.
//!
//! Entries up to `base` are in a snapshot of the archive, older ones after it in
//! segments (objects of their own), the last ones in the record itself.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::raft::{Entry, LogId, Payload, Vote, log_id, term};

/// The record. Written whole, by compare and set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Of this very writing: whoever was not told how it ended looks for it, and
    /// that it stays tells that nobody leads with the bucket's help.
    pub(crate) writing: u64,
    /// Higher with each writing: a record with a lower one was put back.
    pub(crate) serial: u64,
    /// Whom it has voted for, or follows.
    pub(crate) vote: Vote,
    /// Entries up to here are known to be committed.
    pub(crate) committed: Option<LogId>,
    /// Entries up to here are committed and in a snapshot of the archive.
    pub(crate) base: Option<LogId>,
    /// The last entry.
    pub(crate) last: Option<LogId>,
    /// The terms of the entries after `base`: each from an index on.
    terms: Vec<(u64, u64)>,
    /// Objects with entries, in order and without a gap.
    pub(crate) segments: Vec<Segment>,
    /// The entries after them.
    pub(crate) tail: Vec<Entry>,
}

/// An object with entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    /// The index of the first entry in it.
    pub(crate) first: u64,
    /// The index of the last one in it that counts.
    pub(crate) last: u64,
    /// What tells its key from others'.
    pub(crate) name: u64,
    /// Its length.
    pub(crate) bytes: u64,
}

/// Why entries are not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Another was voted for since.
    HigherVote(Vote),
    /// The entry before them is not there.
    Conflict(LogId),
}

impl Record {
    /// A voter that knows nothing, and votes for nobody but `vote` in its term: it
    /// may have voted in it before, and forgotten.
    pub(crate) fn new(vote: Vote) -> Self {
        Self {
            writing: 0,
            serial: 0,
            vote,
            committed: None,
            base: None,
            last: None,
            terms: Vec::new(),
            segments: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// The id of the entry at `index`, if it is there or the last one in the base.
    pub(crate) fn id(&self, index: u64) -> Option<LogId> {
        if let Some(base) = self.base
            && index <= base.index
        {
            return (index == base.index).then_some(base);
        }
        if self.last.is_none_or(|last| index > last.index) {
            return None;
        }
        let run = self.terms.iter().rev().find(|(_, first)| *first <= index);
        run.map(|(term, _)| log_id(*term, index))
    }

    /// The first index that is not in the base.
    pub(crate) fn first(&self) -> u64 {
        self.base.map_or(0, |base| base.index + 1)
    }

    /// Takes the vote of a leader that sends something.
    pub(crate) fn follow(&mut self, leader: Vote) -> Result<(), Refused> {
        if against(&leader, &self.vote).is_some_and(Ordering::is_ge) {
            self.vote = leader;
            return Ok(());
        }
        Err(Refused::HigherVote(self.vote))
    }

    /// Takes entries that follow on `previous` from the leader of `vote`. Those
    /// that it has stay; what contradicts them goes.
    pub(crate) fn append(
        &mut self,
        vote: Vote,
        previous: Option<LogId>,
        entries: Vec<Entry>,
        committed: Option<LogId>,
    ) -> Result<(), Refused> {
        self.follow(vote)?;
        if let Some(previous) = previous
            && previous.index >= self.first()
            && self.id(previous.index) != Some(previous)
        {
            return Err(Refused::Conflict(previous));
        }
        let confirmed = entries.last().map(|entry| entry.log_id).or(previous);
        for entry in entries {
            let id = entry.log_id;
            // What is in the base is committed: a leader has the same.
            if id.index < self.first() || self.id(id.index) == Some(id) {
                continue;
            }
            self.cut(id.index);
            if self.terms.last().is_none_or(|(last, _)| *last != term(&id)) {
                self.terms.push((term(&id), id.index));
            }
            self.last = Some(id);
            self.tail.push(entry);
        }
        // The leader may tell of more than it has sent, and of that much only is it
        // known that this record has the same.
        self.committed = self.committed.max(committed.min(confirmed));
        Ok(())
    }

    /// Forgets the entries from `index` on.
    fn cut(&mut self, index: u64) {
        if self.last.is_none_or(|last| last.index < index) {
            return;
        }
        self.tail.retain(|entry| entry.log_id.index < index);
        self.segments.retain(|segment| segment.first < index);
        if let Some(last) = self.segments.last_mut() {
            last.last = last.last.min(index - 1);
        }
        let after = self.first();
        self.segments.retain(|segment| segment.last >= after);
        self.last = match index.checked_sub(1) {
            Some(before) => self.id(before),
            None => None,
        };
        self.terms.retain(|(_, first)| *first < index);
    }

    /// Says that a snapshot in the archive holds everything up to `id`, which is
    /// committed. False if that was known.
    pub(crate) fn rebase(&mut self, id: LogId) -> bool {
        if self.base >= Some(id) {
            return false;
        }
        if self.id(id.index) == Some(id) {
            self.tail.retain(|entry| entry.log_id.index > id.index);
            self.segments.retain(|segment| segment.last > id.index);
            let later = |(index, run): (usize, &(u64, u64))| {
                let next = self.terms.get(index + 1);
                let next = next.map_or(u64::MAX, |(_, first)| *first);
                (next > id.index + 1).then_some((run.0, run.1.max(id.index + 1)))
            };
            self.terms = self.terms.iter().enumerate().filter_map(later).collect();
            if self.last == Some(id) {
                self.terms.clear();
            }
        } else {
            // It ends before, or its entries are not the committed ones.
            self.tail.clear();
            self.segments.clear();
            self.terms.clear();
            self.last = Some(id);
        }
        self.base = Some(id);
        self.last = self.last.max(Some(id));
        self.committed = self.committed.max(Some(id));
        true
    }

    /// Whether a candidate with this vote and log gets the voice.
    pub(crate) fn would_vote(&self, vote: &Vote, last: Option<LogId>) -> bool {
        let newer = against(vote, &self.vote).is_some_and(Ordering::is_ge);
        newer && last >= self.last
    }

    /// Says that `segment` holds the entries that were in the record.
    pub(crate) fn spill(&mut self, segment: Segment) {
        self.tail.clear();
        self.segments.push(segment);
    }

    /// Bytes of the entries in the record.
    pub(crate) fn tail_bytes(&self) -> usize {
        self.tail.iter().map(size).sum()
    }

    /// Bytes of the segments.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

/// About the bytes of an entry.
pub(crate) fn size(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Normal(batch) => batch.bytes().len() + 32,
        Payload::Blank => 32,
        Payload::Membership(_) => 512,
    }
}

/// One vote against another; None: two candidates of one term.
fn against(one: &Vote, other: &Vote) -> Option<Ordering> {
    let terms = one.leader_id.term.cmp(&other.leader_id.term);
    if terms.is_ne() {
        return Some(terms);
    }
    let committed = one.committed.cmp(&other.committed);
    match one.leader_id.voted_for == other.leader_id.voted_for {
        true => Some(committed),
        // Whoever a majority has elected counts, whomever this one was for.
        false => Some(committed).filter(|committed| committed.is_ne()),
    }
}

#[cfg(test)]
mod tests;
