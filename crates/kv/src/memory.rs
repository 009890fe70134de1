//! The memory engine: for tests, and for whatever fits in memory. Two levels
//! of copy-on-write maps, so that a snapshot is one pointer and a write copies
//! only the few chunks that it touches. Holds nothing durable.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use crate::{Op, Pair, Range, Read, Result};

/// A chunk is split in two when it holds more pairs than this.
const CHUNK: usize = 256;

type Chunk = BTreeMap<Bytes, Bytes>;

/// Chunks by their lower bound. The first one's is the empty key, so that each
/// key has a chunk.
type Chunks = BTreeMap<Bytes, Arc<Chunk>>;

/// The engine. Clones share their state.
#[derive(Clone, Debug)]
pub struct Engine {
    chunks: Arc<RwLock<Arc<Chunks>>>,
}

/// The state at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    chunks: Arc<Chunks>,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An empty engine.
    pub fn new() -> Self {
        let chunks = Chunks::from([(Bytes::new(), Arc::default())]);
        Self {
            chunks: Arc::new(RwLock::new(Arc::new(chunks))),
        }
    }

    /// The present state. Later writes do not show in it.
    pub fn snapshot(&self) -> Snapshot {
        let chunks = self.chunks.read().unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            chunks: Arc::clone(&chunks),
        }
    }

    /// Applies `ops` in order, all at once for readers.
    pub fn apply(&self, ops: impl IntoIterator<Item = Op>) {
        let mut guard = self.chunks.write().unwrap_or_else(PoisonError::into_inner);
        let chunks = Arc::make_mut(&mut *guard);
        for op in ops {
            match op {
                Op::Put { key, value } => put(chunks, key, value),
                Op::Delete { key } => {
                    let lower = lower_bound(chunks, &key);
                    if let Some(chunk) = chunks.get_mut(&lower)
                        && chunk.contains_key(&key)
                    {
                        Arc::make_mut(chunk).remove(&key);
                        drop_if_empty(chunks, &lower);
                    }
                }
                Op::DeleteRange { start, end } => delete_range(chunks, &start, &end),
            }
        }
    }
}

/// The lower bound of the chunk that `key` belongs to.
fn lower_bound(chunks: &Chunks, key: &[u8]) -> Bytes {
    chunks
        .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
        .next_back()
        .map(|(lower, _)| lower.clone())
        .unwrap_or_default()
}

fn drop_if_empty(chunks: &mut Chunks, lower: &Bytes) {
    if !lower.is_empty() && chunks.get(lower).is_some_and(|chunk| chunk.is_empty()) {
        chunks.remove(lower);
    }
}

fn put(chunks: &mut Chunks, key: Bytes, value: Bytes) {
    let lower = lower_bound(chunks, &key);
    let chunk = Arc::make_mut(chunks.entry(lower).or_default());
    chunk.insert(key, value);
    if chunk.len() > CHUNK {
        let middle = chunk.keys().nth(chunk.len() / 2).cloned();
        if let Some(middle) = middle {
            let upper = chunk.split_off(&middle);
            chunks.insert(middle, Arc::new(upper));
        }
    }
}

fn delete_range(chunks: &mut Chunks, start: &Bytes, end: &Bytes) {
    if start >= end {
        return;
    }
    let first = lower_bound(chunks, start);
    let touched: Vec<Bytes> = chunks
        .range::<Bytes, _>((Bound::Included(&first), Bound::Excluded(end)))
        .map(|(lower, _)| lower.clone())
        .collect();
    for lower in touched {
        if let Some(chunk) = chunks.get_mut(&lower) {
            Arc::make_mut(chunk).retain(|key, _| key < start || key >= end);
        }
        drop_if_empty(chunks, &lower);
    }
}

impl Snapshot {
    fn find(&self, key: &[u8]) -> Option<Bytes> {
        let (_, chunk) = self
            .chunks
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()?;
        chunk.get(key).cloned()
    }
}

impl Read for Snapshot {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.find(key))
    }

    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>> {
        Ok(keys.iter().map(|key| self.find(key)).collect())
    }

    async fn range(&self, range: Range) -> Result<Vec<Pair>> {
        let (start, end) = (range.start.as_slice(), range.end.as_slice());
        if start >= end {
            return Ok(Vec::new());
        }
        let first = lower_bound(&self.chunks, start);
        let bounds = (Bound::Included(start), Bound::Excluded(end));
        let chunks = self
            .chunks
            .range::<[u8], _>((Bound::Included(&*first), Bound::Excluded(end)));
        let copy = |(key, value): (&Bytes, &Bytes)| (key.clone(), value.clone());
        let pairs: Vec<Pair> = if range.reverse {
            let pairs = chunks.rev();
            let pairs = pairs.flat_map(|(_, chunk)| chunk.range::<[u8], _>(bounds).rev());
            pairs.take(range.limit).map(copy).collect()
        } else {
            let pairs = chunks.flat_map(|(_, chunk)| chunk.range::<[u8], _>(bounds));
            pairs.take(range.limit).map(copy).collect()
        };
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl crate::testing::Engine for Engine {
        type Snapshot = Snapshot;

        async fn snapshot(&self) -> Snapshot {
            Engine::snapshot(self)
        }

        async fn apply(&self, ops: Vec<Op>) {
            Engine::apply(self, ops);
        }
    }

    #[tokio::test]
    async fn the_memory_engine_conforms() {
        crate::testing::suite(async || Engine::new()).await;
    }
}
