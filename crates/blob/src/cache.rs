//! Recently read pieces of objects in memory: aligned chunks, bounded in bytes,
//! fetched once however many readers want one at the same time.
//!
//! A phone that reads 10 MB in 10 KB pieces costs a few requests, a hundred
//! readers of one chunk cost one, and neighbouring chunks come in one request.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use metrics::Counter;
use quick_cache::sync::{Cache as Map, DefaultLifecycle, GuardResult, PlaceholderGuard};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::Error;

/// The size of a chunk, in bytes. All but an object's last one are full.
pub(crate) const CHUNK: u64 = 256 << 10;

/// The most chunks in one request (8 MiB).
const RUN: usize = 32;

/// Chunks that a request fetches when the one before its first is here: somebody
/// reads from start to end (1 MiB).
const AHEAD: u64 = 4;

/// Requests of one caller at the same time.
const AT_ONCE: usize = 4;

/// One chunk: the object's key and the chunk's number in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Chunk(Arc<str>, u64);

#[derive(Clone)]
struct Weight;

impl Weighter<Chunk, Bytes> for Weight {
    fn weight(&self, chunk: &Chunk, bytes: &Bytes) -> u64 {
        // 128 for the entry itself; never zero, so that empty chunks count.
        (bytes.len() + chunk.0.len() + 128) as u64
    }
}

type Guard<'a> =
    PlaceholderGuard<'a, Chunk, Bytes, Weight, DefaultHashBuilder, DefaultLifecycle<Chunk, Bytes>>;

pub(crate) struct Cache {
    chunks: Map<Chunk, Bytes, Weight>,
    hits: Counter,
    misses: Counter,
}

impl Cache {
    /// A cache of at most `size` bytes.
    pub(crate) fn new(size: u64) -> Self {
        // A chunk must be far smaller than a shard, or it is never kept.
        let shards = usize::try_from(size / (64 * CHUNK))
            .unwrap_or(8)
            .clamp(1, 8);
        let options = OptionsBuilder::new()
            .weight_capacity(size)
            .estimated_items_capacity(usize::try_from(size / CHUNK).unwrap_or(0).max(16))
            .shards(shards)
            .build()
            .expect("all three options are given");
        Self {
            chunks: Map::with_options(
                options,
                Weight,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            hits: metrics::counter!("postrider_blob_cache_chunks_total", "outcome" => "hit"),
            misses: metrics::counter!("postrider_blob_cache_chunks_total", "outcome" => "miss"),
        }
    }

    /// The bytes of each of `ranges` in the object `key`, in their order. `fetch`
    /// gets a range from the store, cut at the object's end.
    pub(crate) async fn get<F>(
        &self,
        key: &str,
        ranges: &[Range<u64>],
        fetch: impl Fn(Range<u64>) -> F,
    ) -> Result<Vec<Bytes>, Error>
    where
        F: Future<Output = Result<Bytes, Error>>,
    {
        let mut numbers: Vec<u64> = Vec::with_capacity(ranges.len());
        for range in ranges.iter().filter(|r| r.start < r.end) {
            numbers.extend(range.start / CHUNK..=(range.end - 1) / CHUNK);
        }
        numbers.sort_unstable();
        numbers.dedup();

        let object: Arc<str> = key.into();
        let runs = runs(&numbers);
        let parts: Vec<Vec<Bytes>> = if let [only] = &runs[..] {
            vec![self.load(&object, only.clone(), &fetch).await?]
        } else {
            stream::iter(runs.into_iter().map(|run| self.load(&object, run, &fetch)))
                .buffered(AT_ONCE)
                .try_collect()
                .await?
        };
        let chunks: Vec<Bytes> = parts.into_iter().flatten().collect();
        ranges
            .iter()
            .map(|range| cut(&numbers, &chunks, range).ok_or_else(|| Error::Short(key.into())))
            .collect()
    }

    /// The chunks of `run`, missing neighbours in one request.
    async fn load<F>(
        &self,
        object: &Arc<str>,
        run: Range<u64>,
        fetch: &impl Fn(Range<u64>) -> F,
    ) -> Result<Vec<Bytes>, Error>
    where
        F: Future<Output = Result<Bytes, Error>>,
    {
        let mut loaded = Vec::with_capacity((run.end - run.start) as usize);
        let mut next = run.start;
        while next < run.end {
            let guard = match self
                .chunks
                .get_value_or_guard_async(&Chunk(object.clone(), next))
                .await
            {
                Ok(bytes) => {
                    self.hits.increment(1);
                    loaded.push(bytes);
                    next += 1;
                    continue;
                }
                Err(guard) => guard,
            };
            // Claim the following missing chunks too, without waiting: whoever
            // waited while holding a claim could wait in a circle.
            let mut guards: Vec<Guard<'_>> = vec![guard];
            for number in next + 1..self.reach(object, next).max(run.end) {
                let chunk = Chunk(object.clone(), number);
                match self.chunks.get_value_or_guard(&chunk, Some(Duration::ZERO)) {
                    GuardResult::Guard(guard) => guards.push(guard),
                    GuardResult::Value(_) | GuardResult::Timeout => break,
                }
            }
            self.misses.increment(guards.len() as u64);
            let end = next + guards.len() as u64;
            let bytes = fetch(next * CHUNK..end * CHUNK).await?;
            for (i, guard) in guards.into_iter().enumerate() {
                let start = (i * CHUNK as usize).min(bytes.len());
                let stop = (start + CHUNK as usize).min(bytes.len());
                let mut chunk = bytes.slice(start..stop);
                if end - next > 1 {
                    // Its own memory: evicting one chunk must free it, not wait
                    // for its neighbours.
                    chunk = Bytes::copy_from_slice(&chunk);
                }
                // Refused only if the entry was replaced meanwhile: still correct.
                let _ = guard.insert(chunk.clone());
                if next + (i as u64) < run.end {
                    loaded.push(chunk);
                }
            }
            next = end;
        }
        Ok(loaded)
    }

    /// Up to where to read if chunk `missing` is: further than asked where reads
    /// seem to go from start to end. Chunks behind the object's end are empty.
    fn reach(&self, object: &Arc<str>, missing: u64) -> u64 {
        let before = missing
            .checked_sub(1)
            .map(|before| Chunk(object.clone(), before));
        let sequential = before.is_some_and(|before| self.chunks.contains_key(&before));
        if sequential {
            missing.saturating_add(AHEAD)
        } else {
            missing
        }
    }
}

/// Groups ascending numbers into runs without gaps, of at most [`RUN`].
fn runs(numbers: &[u64]) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some(run) if run.end == number && run.end - run.start < RUN as u64 => run.end += 1,
            _ => runs.push(number..number + 1),
        }
    }
    runs
}

/// Cuts `range` out of the chunks with these numbers; None where they are too
/// short for it.
fn cut(numbers: &[u64], chunks: &[Bytes], range: &Range<u64>) -> Option<Bytes> {
    if range.start >= range.end {
        return Some(Bytes::new());
    }
    let first = range.start / CHUNK;
    let at = numbers.binary_search(&first).ok()?;
    let offset = (range.start % CHUNK) as usize;
    let length = usize::try_from(range.end - range.start).ok()?;
    let chunk = chunks.get(at)?;
    if offset + length <= CHUNK as usize {
        return (offset + length <= chunk.len()).then(|| chunk.slice(offset..offset + length));
    }
    let mut joined = Vec::with_capacity(length);
    joined.extend_from_slice(chunk.get(offset..)?);
    for chunk in chunks.get(at + 1..)? {
        if joined.len() == length {
            break;
        }
        let take = (length - joined.len()).min(chunk.len());
        joined.extend_from_slice(&chunk[..take]);
        if take < chunk.len() || chunk.len() < CHUNK as usize {
            break;
        }
    }
    (joined.len() == length).then(|| joined.into())
}
