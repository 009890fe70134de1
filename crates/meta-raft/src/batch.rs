//! The effects of a group of commands as one Raft entry, encoded once: the
//! leader writes these bytes, the log and the network carry them as they are,
//! and applying slices keys and values out of them without a copy.
//!
//! Version byte, term of the leader, the batch it was evaluated over, its moment,
//! changed accounts, writes. Numbers are little endian, lengths LEB128.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use postrider_kv::Op;
use postrider_types::{AccountId, Millis};
use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;
const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;

/// An encoded batch.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Batch(Bytes);

/// A batch, readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    /// The term in which the leader evaluated it.
    pub(crate) term: u64,
    /// The index of the batch that was the last one applied when it was evaluated.
    pub(crate) over: u64,
    /// When it was evaluated, by the leader's clock: what it holds was acknowledged
    /// later.
    pub(crate) time: Millis,
    /// Accounts that it changes, for hints.
    pub(crate) accounts: Vec<AccountId>,
    /// Its writes, in order.
    pub(crate) ops: Vec<Op>,
}

impl Batch {
    /// Encodes a batch.
    pub(crate) fn encode(
        term: u64,
        over: u64,
        time: Millis,
        accounts: &[AccountId],
        ops: &[Op],
    ) -> Self {
        let size: usize = ops.iter().map(|op| op.size() + 8).sum();
        let mut out = BytesMut::with_capacity(size + 8 * accounts.len() + 64);
        out.put_u8(VERSION);
        out.put_u64_le(term);
        out.put_u64_le(over);
        out.put_u64_le(time.0);
        put_length(&mut out, accounts.len());
        for account in accounts {
            out.put_u64_le(account.0);
        }
        put_length(&mut out, ops.len());
        for op in ops {
            let (tag, first, second) = match op {
                Op::Put { key, value } => (PUT, key, Some(value)),
                Op::Delete { key } => (DELETE, key, None),
                Op::DeleteRange { start, end } => (DELETE_RANGE, start, Some(end)),
            };
            out.put_u8(tag);
            for bytes in std::iter::once(first).chain(second) {
                put_length(&mut out, bytes.len());
                out.extend_from_slice(bytes);
            }
        }
        Self(out.freeze())
    }

    /// A batch from its bytes, unchecked until [`Self::decode`].
    pub(crate) fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Reads it. Keys and values share its memory.
    pub(crate) fn decode(&self) -> Result<Contents, String> {
        let mut reader = Reader {
            bytes: &self.0,
            at: 0,
        };
        let version = reader.byte()?;
        if version != VERSION {
            return Err(format!(
                "batch of version {version}: a later Postrider wrote it"
            ));
        }
        let term = reader.number()?;
        let over = reader.number()?;
        let time = Millis(reader.number()?);
        let count = reader.length()?;
        let mut accounts = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            accounts.push(AccountId(reader.number()?));
        }
        let count = reader.length()?;
        let mut ops = Vec::with_capacity(count.min(1 << 16));
        for _ in 0..count {
            ops.push(match reader.byte()? {
                PUT => Op::Put {
                    key: reader.bytes()?,
                    value: reader.bytes()?,
                },
                DELETE => Op::Delete {
                    key: reader.bytes()?,
                },
                DELETE_RANGE => Op::DeleteRange {
                    start: reader.bytes()?,
                    end: reader.bytes()?,
                },
                tag => return Err(format!("unknown write {tag} in a batch")),
            });
        }
        if reader.at != self.0.len() {
            return Err("bytes behind the end of a batch".into());
        }
        Ok(Contents {
            term,
            over,
            time,
            accounts,
            ops,
        })
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch of {} bytes", self.0.len())
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

fn put_length(out: &mut BytesMut, length: usize) {
    let mut left = length;
    while left >= 0x80 {
        out.put_u8((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.put_u8(left as u8);
}

struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl Reader<'_> {
    fn slice(&mut self, length: usize) -> Result<std::ops::Range<usize>, String> {
        let end = self.at.checked_add(length);
        let end = end.filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("a batch is cut off")?;
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    fn byte(&mut self) -> Result<u8, String> {
        let range = self.slice(1)?;
        Ok(self.bytes[range.start])
    }

    fn number(&mut self) -> Result<u64, String> {
        let range = self.slice(8)?;
        let mut number = [0; 8];
        number.copy_from_slice(&self.bytes[range]);
        Ok(u64::from_le_bytes(number))
    }

    fn length(&mut self) -> Result<usize, String> {
        let mut length = 0usize;
        for shift in (0..=28).step_by(7) {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(length);
            }
        }
        Err("a length in a batch is too large".into())
    }

    fn bytes(&mut self) -> Result<Bytes, String> {
        let length = self.length()?;
        let range = self.slice(length)?;
        Ok(self.bytes.slice(range))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn op() -> impl Strategy<Value = Op> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
        prop_oneof![
            (bytes(), bytes()).prop_map(|(key, value)| Op::Put { key, value }),
            bytes().prop_map(|key| Op::Delete { key }),
            (bytes(), bytes()).prop_map(|(start, end)| Op::DeleteRange { start, end }),
        ]
    }

    proptest! {
        #[test]
        fn reads_what_it_wrote(
            term: u64,
            over: u64,
            time: u64,
            accounts in proptest::collection::vec(any::<u64>().prop_map(AccountId), 0..9),
            ops in proptest::collection::vec(op(), 0..20),
        ) {
            let time = Millis(time);
            let batch = Batch::encode(term, over, time, &accounts, &ops);
            prop_assert_eq!(batch.decode(), Ok(Contents { term, over, time, accounts, ops }));
        }

        #[test]
        fn never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), honest: bool) {
            if honest && !bytes.is_empty() {
                bytes[0] = VERSION;
            }
            let _ = Batch::from_bytes(bytes.into()).decode();
        }
    }

    #[test]
    fn refuses_a_later_version() {
        let error = Batch::from_bytes(Bytes::from_static(&[9]))
            .decode()
            .unwrap_err();
        assert!(error.contains("later Postrider"), "{error}");
    }
}
