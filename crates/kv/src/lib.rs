//! Ordered key-value storage as the domain sees it: the traits [`Read`] and
//! [`Txn`], the key codec, the buffered transaction with savepoints, and the
//! memory engine. Knows no engine on disk, no domain row, no clock.
//!
//! Nobody commits or retries through these traits: the driver that runs a
//! domain function owns both.

use std::future::Future;

use bytes::Bytes;

pub mod key;
pub mod memory;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

mod buffered;
mod op;

pub use buffered::{Buffered, Savepoint};
pub use op::Op;

/// A broken or unreachable store. Never a business refusal: those are the
/// domain's own type.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The engine failed; nothing is known about why except the text.
    #[error("the metadata store failed: {0}")]
    Engine(String),
    /// A stored value cannot be read: damage, or a later version wrote it.
    #[error("damaged or unknown value under key {key}: {reason}")]
    Value {
        /// The key, escaped.
        key: String,
        /// What is wrong with the value.
        reason: String,
    },
}

/// The store's result.
pub type Result<T> = std::result::Result<T, Error>;

/// A key with its value.
pub type Pair = (Bytes, Bytes);

/// Which pairs a range read returns: keys from `start` (included) to `end`
/// (excluded), at most `limit` of them, ascending or descending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first key, included.
    pub start: Vec<u8>,
    /// The end, excluded.
    pub end: Vec<u8>,
    /// The most pairs to return.
    pub limit: usize,
    /// Descending: the last pairs first.
    pub reverse: bool,
}

impl Range {
    /// All keys that begin with `prefix`, ascending, at most `limit`.
    pub fn prefix(prefix: &[u8], limit: usize) -> Self {
        Self {
            start: prefix.to_vec(),
            end: key::successor(prefix),
            limit,
            reverse: false,
        }
    }

    /// The same keys from the other end.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// The same range, starting just behind `key`.
    #[must_use]
    pub fn after(mut self, key: &[u8]) -> Self {
        self.start = key.to_vec();
        self.start.push(0);
        self
    }
}

/// Reads from one consistent state.
pub trait Read: Send + Sync {
    /// The value under `key`.
    fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Bytes>>> + Send;

    /// The values under `keys`, in their order. One round trip where the store is remote.
    fn get_many(&self, keys: &[Vec<u8>])
    -> impl Future<Output = Result<Vec<Option<Bytes>>>> + Send;

    /// The pairs of `range`, in key order (descending when reversed).
    fn range(&self, range: Range) -> impl Future<Output = Result<Vec<Pair>>> + Send;
}

/// Reads and writes in one transaction that sees its own writes.
pub trait Txn: Read {
    /// Sets `key` to `value`.
    fn put(&mut self, key: Vec<u8>, value: impl Into<Bytes>);

    /// Removes `key`, present or not.
    fn delete(&mut self, key: Vec<u8>);

    /// Removes all keys from `start` (included) to `end` (excluded).
    fn delete_range(&mut self, start: Vec<u8>, end: Vec<u8>);

    /// Adds `delta` to the counter under `key` (8 bytes, little endian, absent
    /// is zero) without reading it, so that counters do not conflict.
    fn add(&mut self, key: Vec<u8>, delta: i64);
}

impl<R: Read> Read for &R {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        (**self).get(key).await
    }

    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>> {
        (**self).get_many(keys).await
    }

    async fn range(&self, range: Range) -> Result<Vec<Pair>> {
        (**self).range(range).await
    }
}
