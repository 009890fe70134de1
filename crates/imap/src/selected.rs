//! [`Selected`]: a mailbox as one client sees it.
//!
//! Maps sequence numbers to UIDs, remembers up to which MODSEQ the client was
//! told of changes, and holds removals back while they may not be told. Asks
//! nobody: `sync` brings the changes.

use std::ops::{Range, RangeInclusive};

use postrider_meta::UidRanges;
use postrider_proto::imap::SequenceSet;
use postrider_types::{Flag, Flags, MailboxId, ModSeq, Uid};

use crate::error::Reply;

/// The most keywords that FLAGS lists; more can be used all the same.
const MAX_KEYWORDS: usize = 200;

/// The selected mailbox.
#[derive(Debug)]
pub(crate) struct Selected {
    pub(crate) mailbox: MailboxId,
    /// Selected by EXAMINE.
    pub(crate) read_only: bool,
    /// Changes up to this were told, or wait in `held`.
    pub(crate) mod_seq: ModSeq,
    /// Messages from this UID on are `\Recent` here.
    pub(crate) recent_from: u32,
    /// Messages from this UID on are not claimed as `\Recent` in the store.
    pub(crate) claimed_to: u32,
    /// Keywords that FLAGS told.
    pub(crate) keywords: Flags,
    /// The UIDs, ascending: the n-th (from 1) has the sequence number n. The
    /// client knows of the first `told`.
    uids: Vec<u32>,
    told: usize,
    /// Removed, and not told yet: still in `uids`. Ascending.
    held: Vec<u32>,
    /// What the client did itself in the command that runs: UIDs and the MODSEQ
    /// it gave them. Ascending.
    own: Vec<(u32, ModSeq)>,
}

/// What a client must be told to catch up; first to last.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CatchUp {
    /// Sequence numbers for EXPUNGE, descending, so that each is right when it
    /// is told.
    pub(crate) expunged: Vec<u32>,
    /// There are new messages: EXISTS and RECENT.
    pub(crate) grown: bool,
}

impl Selected {
    /// A mailbox without messages: [`Selected::add`] them, then
    /// [`Selected::loaded`].
    pub(crate) fn new(mailbox: MailboxId, mod_seq: ModSeq, read_only: bool) -> Self {
        Self {
            mailbox,
            read_only,
            mod_seq,
            recent_from: u32::MAX,
            claimed_to: u32::MAX,
            keywords: Flags::new(),
            uids: Vec::new(),
            told: 0,
            held: Vec::new(),
            own: Vec::new(),
        }
    }

    /// The messages that the client knows of.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.told).unwrap_or(u32::MAX)
    }

    /// How many of them are `\Recent`.
    pub(crate) fn recent(&self) -> u32 {
        let known = self.known();
        let first = known.partition_point(|&uid| uid < self.recent_from);
        u32::try_from(known.len() - first).unwrap_or(u32::MAX)
    }

    /// Whether the message is `\Recent`.
    pub(crate) fn is_recent(&self, uid: Uid) -> bool {
        uid.0 >= self.recent_from
    }

    /// The UIDs that the client knows of.
    pub(crate) fn known(&self) -> &[u32] {
        self.uids.get(..self.told).unwrap_or(&self.uids)
    }

    /// The highest UID in the list, 0 for none.
    pub(crate) fn last_uid(&self) -> u32 {
        self.uids.last().copied().unwrap_or(0)
    }

    /// The sequence number of a message.
    pub(crate) fn number_of(&self, uid: Uid) -> Option<u32> {
        let index = self.known().binary_search(&uid.0).ok()?;
        u32::try_from(index + 1).ok()
    }

    /// Adds a message that lies behind all that the client knows of; false if it
    /// does not. New ones come in any order: the change log has them by their
    /// last change.
    pub(crate) fn add(&mut self, uid: Uid) -> bool {
        if self.uids.last().is_none_or(|last| uid.0 > *last) {
            self.uids.push(uid.0);
            return true;
        }
        if self.known().last().is_some_and(|last| uid.0 <= *last) {
            return false;
        }
        if let Err(place) = self.uids.binary_search(&uid.0) {
            self.uids.insert(place, uid.0);
        }
        true
    }

    /// The list was read: the client knows it now.
    pub(crate) fn loaded(&mut self) {
        self.uids.shrink_to_fit();
        self.told = self.uids.len();
    }

    /// Notes removals, ascending.
    pub(crate) fn remove(&mut self, vanished: &[Uid]) {
        let before = self.held.len();
        for uid in vanished {
            if self.uids.binary_search(&uid.0).is_ok() {
                self.held.push(uid.0);
            }
        }
        if before > 0 && self.held.len() > before {
            self.held.sort_unstable();
            self.held.dedup();
        }
    }

    /// Notes that of the messages up to the UID `last` only those in `left`
    /// (ascending) exist.
    pub(crate) fn keep_only(&mut self, left: &[u32], last: u32) {
        let gone = |uid: &u32| *uid <= last && left.binary_search(uid).is_err();
        self.held = self.uids.iter().copied().filter(gone).collect();
    }

    /// Takes what the client has to be told. Without `expunges` removals stay
    /// held back.
    pub(crate) fn catch_up(&mut self, expunges: bool) -> CatchUp {
        let mut told = CatchUp::default();
        if expunges && !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let known = self.known();
            let numbers = held.iter().rev().filter_map(|uid| {
                let index = known.binary_search(uid).ok()?;
                u32::try_from(index + 1).ok()
            });
            told.expunged = numbers.collect();
            self.told -= told.expunged.len();
            self.uids.retain(|uid| held.binary_search(uid).is_err());
        }
        told.grown = self.uids.len() > self.told;
        self.told = self.uids.len();
        if self.uids.capacity() > 2 * self.uids.len() + 64 {
            self.uids.shrink_to_fit();
        }
        told
    }

    /// Notes what the client itself did to a message: it is not told again.
    /// UIDs ascend within a command.
    pub(crate) fn did(&mut self, uid: Uid, mod_seq: ModSeq) {
        self.own.push((uid.0, mod_seq));
    }

    /// Whether the message's last change was the client's own.
    pub(crate) fn is_own(&self, uid: Uid, mod_seq: ModSeq) -> bool {
        let end = self.own.partition_point(|(own, _)| *own <= uid.0);
        let own = self.own.get(..end).unwrap_or_default();
        own.iter()
            .rev()
            .take_while(|(own, _)| *own == uid.0)
            .any(|(_, seq)| *seq == mod_seq)
    }

    /// Forgets what the client did.
    pub(crate) fn forget_own(&mut self) {
        self.own = Vec::new();
    }

    /// Notes keywords in use; true if there are new ones, which FLAGS has to
    /// tell (RFC 3501 §7.2.6).
    pub(crate) fn note_keywords(&mut self, flags: &Flags) -> bool {
        let mut new = false;
        for flag in flags.iter() {
            if matches!(flag, Flag::Keyword(_))
                && self.keywords.len() < MAX_KEYWORDS
                && !self.keywords.contains(flag)
            {
                new |= self.keywords.insert(flag.clone());
            }
        }
        new
    }

    /// The flags for FLAGS and PERMANENTFLAGS.
    pub(crate) fn flags(&self) -> Flags {
        use Flag::{Answered, Deleted, Draft, Flagged, Seen};
        let mut flags: Flags = [Answered, Flagged, Deleted, Seen, Draft]
            .into_iter()
            .collect();
        flags.extend(self.keywords.iter().cloned());
        flags
    }

    /// The places in [`Selected::known`] of the messages in `set`, ascending.
    /// UIDs without a message are passed over (RFC 3501 §6.4.8); a sequence
    /// number without one is an error.
    pub(crate) fn resolve(&self, set: &SequenceSet, uid: bool) -> Result<Vec<Range<usize>>, Reply> {
        let known = self.known();
        if uid {
            return Ok(self.by_uid(&set.resolve(known.last().copied().unwrap_or(0))));
        }
        let count = self.count();
        let mut places = Vec::new();
        for range in set.resolve(count) {
            let (low, high) = (*range.start(), *range.end());
            // `1:*` in an empty mailbox names nothing, as most clients expect.
            if high > count && !set.names_last() {
                return Err(Reply::bad(format!(
                    "there is no message {high}, the last is {count}"
                )));
            }
            let high = high.min(count);
            if low <= high {
                places.push(low as usize - 1..high as usize);
            }
        }
        Ok(places)
    }

    /// The places of the messages with these UIDs.
    pub(crate) fn by_uid(&self, ranges: &[RangeInclusive<u32>]) -> Vec<Range<usize>> {
        let known = self.known();
        let mut places: Vec<Range<usize>> = Vec::new();
        for range in ranges {
            let start = known.partition_point(|uid| uid < range.start());
            let end = known.partition_point(|uid| uid <= range.end());
            if start >= end {
                continue;
            }
            match places.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => places.push(start..end),
            }
        }
        places
    }

    /// The UIDs at `places`, as ranges: between the ends of a place nothing
    /// else lies.
    pub(crate) fn uid_ranges(&self, places: &[Range<usize>]) -> Vec<RangeInclusive<u32>> {
        let known = self.known();
        places
            .iter()
            .filter_map(|place| {
                let uids = known.get(place.clone())?;
                Some(*uids.first()?..=*uids.last()?)
            })
            .collect()
    }

    /// `places` in pieces of at most `most` messages each, as a query or a
    /// command takes them.
    pub(crate) fn chunks(&self, places: &[Range<usize>], most: usize) -> Vec<UidRanges> {
        let mut chunks = Vec::new();
        let mut chunk = Vec::new();
        let mut room = most;
        for place in places {
            let mut start = place.start;
            while start < place.end {
                let end = place.end.min(start.saturating_add(room));
                chunk.push(start..end);
                room -= end - start;
                start = end;
                if room == 0 {
                    chunks.push(UidRanges(self.uid_ranges(&chunk)));
                    chunk.clear();
                    room = most;
                }
            }
        }
        if !chunk.is_empty() {
            chunks.push(UidRanges(self.uid_ranges(&chunk)));
        }
        chunks
    }
}

/// Ascending numbers as closed ranges.
pub(crate) fn ranges(numbers: impl IntoIterator<Item = u32>) -> Vec<RangeInclusive<u32>> {
    let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(number) => {
                *last = *last.start()..=number;
            }
            _ => ranges.push(number..=number),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(uids: &[u32]) -> Selected {
        let mut selected = Selected::new(MailboxId(1), ModSeq(1), false);
        for uid in uids {
            assert!(selected.add(Uid(*uid)));
        }
        selected.loaded();
        selected
    }

    #[test]
    fn removals_are_told_from_the_end_and_only_when_allowed() {
        let mut box1 = selected(&[2, 4, 6, 8]);
        box1.remove(&[Uid(4), Uid(5), Uid(8)]);
        box1.add(Uid(9));
        let told = box1.catch_up(false);
        assert_eq!((told.expunged, told.grown, box1.count()), (vec![], true, 5));
        let told = box1.catch_up(true);
        assert_eq!((told.expunged, told.grown), (vec![4, 2], false));
        assert_eq!(box1.known(), [2, 6, 9]);
        assert_eq!(box1.number_of(Uid(9)), Some(3));
    }

    #[test]
    fn a_message_that_came_and_went_between_is_never_told() {
        let mut box1 = selected(&[2]);
        box1.add(Uid(3));
        box1.remove(&[Uid(3)]);
        assert_eq!(box1.catch_up(true), CatchUp::default());
        assert_eq!(box1.known(), [2]);
    }

    #[test]
    fn new_messages_come_in_any_order() {
        let mut box1 = selected(&[2]);
        assert!(box1.add(Uid(10)) && box1.add(Uid(9)) && box1.add(Uid(10)));
        assert!(!box1.add(Uid(2)) && !box1.add(Uid(1)));
        assert!(box1.catch_up(false).grown);
        assert_eq!(box1.known(), [2, 9, 10]);
    }

    #[test]
    fn chunks_cover_all_places_once() {
        let box1 = selected(&[1, 3, 5, 7, 9, 11, 13]);
        let chunks = box1.chunks(&[0..2, 3..7], 3);
        let chunks: Vec<_> = chunks.into_iter().map(|c| c.0).collect();
        assert_eq!(chunks, [vec![1..=3, 7..=7], vec![9..=13]]);
    }

    #[test]
    fn own_changes_are_known_until_forgotten() {
        let mut box1 = selected(&[1, 2, 3]);
        box1.did(Uid(1), ModSeq(5));
        box1.did(Uid(3), ModSeq(5));
        assert!(box1.is_own(Uid(3), ModSeq(5)) && !box1.is_own(Uid(3), ModSeq(6)));
        assert!(!box1.is_own(Uid(2), ModSeq(5)));
        box1.forget_own();
        assert!(!box1.is_own(Uid(3), ModSeq(5)));
    }

    #[test]
    fn numbers_become_ranges() {
        assert_eq!(
            ranges([1, 2, 3, 7, u32::MAX]),
            [1..=3, 7..=7, u32::MAX..=u32::MAX]
        );
    }
}
