//! A write as it is replicated and applied: the effect of a transaction, free
//! of any reading. Applied twice it gives the same state as applied once.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One write. Applied in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Sets `key` to `value`.
    Put {
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
    },
    /// Removes `key`, present or not.
    Delete {
        /// The key.
        key: Bytes,
    },
    /// Removes all keys from `start` (included) to `end` (excluded).
    DeleteRange {
        /// The first key, included.
        start: Bytes,
        /// The end, excluded.
        end: Bytes,
    },
}

impl Op {
    /// About how many bytes the write occupies in a batch.
    pub fn size(&self) -> usize {
        let (a, b) = match self {
            Self::Put { key, value } => (key.len(), value.len()),
            Self::Delete { key } => (key.len(), 0),
            Self::DeleteRange { start, end } => (start.len(), end.len()),
        };
        a + b + 8
    }
}
