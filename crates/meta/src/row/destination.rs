//! Rows of the destinations of the queue, and of where its indexes by time begin.

use postrider_types::Millis;

use crate::view::DestinationView;

/// A destination with entries. Goes with the last of them.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Destination {
    /// How many; never zero.
    #[prost(uint64, tag = "1")]
    pub(crate) entries: u64,
    /// Those for few.
    #[prost(message, optional, tag = "2")]
    pub(crate) usual: Option<Line>,
    /// It rests until then.
    #[prost(uint64, optional, tag = "3")]
    pub(crate) not_before: Option<u64>,
    /// Failures since it last worked.
    #[prost(uint32, tag = "4")]
    pub(crate) failures: u32,
    /// The last failure.
    #[prost(string, optional, tag = "5")]
    pub(crate) last_error: Option<String>,
    /// Those in bulk.
    #[prost(message, optional, tag = "6")]
    pub(crate) bulk: Option<Line>,
}

/// The entries of a destination that wait in bulk, or the others. None where there are
/// none that may be leased.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Line {
    /// The moment of the first key in its index of entries that may be leased.
    /// What lies before was removed, and a store takes long to read over it.
    #[prost(uint64, tag = "1")]
    pub(crate) first: u64,
    /// When the next may be leased: the moment of its key in the index of turns.
    #[prost(uint64, tag = "2")]
    pub(crate) next: u64,
}

/// Where the indexes of the queue by time begin: nothing lies before these
/// moments, and where there is none, there is nothing at all. A queue removes at
/// the beginning of an index what it adds at its end, and a store reads over
/// removed keys until it has compacted them away: a search from the very
/// beginning would cost ever more.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Starts {
    /// Of the index of alarms.
    #[prost(uint64, optional, tag = "1")]
    pub(crate) alarms: Option<u64>,
    /// Of the index of turns.
    #[prost(uint64, optional, tag = "2")]
    pub(crate) turns: Option<u64>,
    /// Of its part for those in bulk.
    #[prost(uint64, optional, tag = "4")]
    pub(crate) bulk_turns: Option<u64>,
    /// Of the index of leases.
    #[prost(uint64, optional, tag = "3")]
    pub(crate) leases: Option<u64>,
}

impl Starts {
    /// Where the turns of those in bulk, or of the others, begin.
    pub(crate) fn turns_mut(&mut self, bulk: bool) -> &mut Option<u64> {
        match bulk {
            true => &mut self.bulk_turns,
            false => &mut self.turns,
        }
    }
}

impl Destination {
    /// The entries that wait in bulk, or the others.
    pub(crate) fn line(&self, bulk: bool) -> Option<Line> {
        match bulk {
            true => self.bulk,
            false => self.usual,
        }
    }

    /// The same, to be changed.
    pub(crate) fn line_mut(&mut self, bulk: bool) -> &mut Option<Line> {
        match bulk {
            true => &mut self.bulk,
            false => &mut self.usual,
        }
    }

    /// The destination as queries show it.
    pub(crate) fn view(self, name: String) -> DestinationView {
        let lines = [self.usual, self.bulk].into_iter().flatten();
        DestinationView {
            name,
            entries: self.entries,
            next: lines.map(|line| Millis(line.next)).min(),
            not_before: self.not_before.map(Millis),
            failures: self.failures,
            last_error: self.last_error,
        }
    }
}
