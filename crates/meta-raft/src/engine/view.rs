//! One consistent state of the engine, readable: what queries, the sequencer
//! and snapshots read from. Stands still while writes go on.

use std::future::{Future, ready};
use std::sync::Arc;

use bytes::Bytes;
use fjall::Readable;
use postrider_kv::{Error, Pair, Range, Read, Result};

use super::generation::{Generation, MEMBERSHIP, PROGRESS};
use super::{Progress, space};

/// A consistent state. Cheap to clone.
#[derive(Clone)]
pub(crate) struct View {
    /// Before the generation, whose files may go with it.
    snapshot: fjall::Snapshot,
    generation: Arc<Generation>,
}

/// Where a state stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The index of the last entry applied.
    pub(crate) applied: u64,
    /// The index of the last batch applied.
    pub(crate) batch: u64,
}

impl View {
    pub(super) fn new(generation: Arc<Generation>) -> Self {
        let snapshot = generation.db.snapshot();
        Self {
            snapshot,
            generation,
        }
    }

    /// How far this state has come.
    pub(crate) fn progress(&self) -> Result<Progress> {
        let row = |key: &str| {
            let row = self.snapshot.get(&self.generation.facts, key);
            row.map(|row| row.map(Bytes::from))
                .map_err(|error| self.failed(&error))
        };
        Progress::decode(row(PROGRESS)?, row(MEMBERSHIP)?)
            .map_err(|reason| Error::Engine(reason.to_string()))
    }

    /// Where this state stands: cheaper than [`Self::progress`].
    pub(crate) fn place(&self) -> Result<Place> {
        let row = self
            .snapshot
            .get(&self.generation.facts, PROGRESS)
            .map_err(|error| self.failed(&error))?;
        let progress = Progress::decode(row.map(Bytes::from), None)
            .map_err(|reason| Error::Engine(reason.to_string()))?;
        Ok(Place {
            applied: progress.applied.map_or(0, |id| id.index),
            batch: progress.batch,
        })
    }

    /// All pairs in the order of their keys.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = Result<Pair>> + '_ {
        let all = self.guards(&[], None);
        all.map(|guard| self.pair(guard))
    }

    /// What lies from `start` to `end` (excluded; None for the end of all), in order.
    fn guards<'a>(
        &'a self,
        start: &'a [u8],
        end: Option<&'a [u8]>,
    ) -> impl DoubleEndedIterator<Item = fjall::Guard> + 'a {
        let pieces = space::pieces(start, end);
        pieces.flat_map(|(space, bounds)| {
            let space = &self.generation.spaces[space.index()];
            self.snapshot.range::<&[u8], _>(space, bounds)
        })
    }

    fn pair(&self, guard: fjall::Guard) -> Result<Pair> {
        let (key, value) = guard.into_inner().map_err(|error| self.failed(&error))?;
        Ok((key.into(), value.into()))
    }

    fn read(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let value = self.snapshot.get(self.generation.space(key), key);
        let value = value.map_err(|error| self.failed(&error))?;
        Ok(value.map(Bytes::from))
    }

    fn read_range(&self, range: &Range) -> Result<Vec<Pair>> {
        if range.start >= range.end || range.limit == 0 {
            return Ok(Vec::new());
        }
        let found = self.guards(&range.start, Some(&range.end));
        if range.reverse {
            let pairs = found.rev().take(range.limit);
            pairs.map(|guard| self.pair(guard)).collect()
        } else {
            let pairs = found.take(range.limit);
            pairs.map(|guard| self.pair(guard)).collect()
        }
    }

    fn failed(&self, error: &fjall::Error) -> Error {
        self.generation.distrust(error);
        Error::Engine(error.to_string())
    }
}

impl Read for View {
    fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Bytes>>> + Send {
        ready(self.read(key))
    }

    fn get_many(
        &self,
        keys: &[Vec<u8>],
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>>> + Send {
        ready(keys.iter().map(|key| self.read(key)).collect())
    }

    fn range(&self, range: Range) -> impl Future<Output = Result<Vec<Pair>>> + Send {
        ready(self.read_range(&range))
    }
}
