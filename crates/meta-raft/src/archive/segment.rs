//! A piece of the log as an object: committed entries without a gap, compressed,
//! with a checksum over them and a header that tells whose they are. Pure: bytes
//! in, bytes out; nothing from the store is trusted.
//!
//! Layout: magic, length and CRC of the header, header (MessagePack), one zstd
//! frame of entries. An entry: term and index (8 bytes each, little endian), kind
//! (1), length (4), bytes.

use std::io;

use bytes::{Buf, Bytes};
use postrider_kv::Op;
use postrider_types::Millis;
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::raft::{Entry, LogId, Payload, log_id, term};

const MAGIC: &[u8; 8] = b"PRlogs01";
/// Before the header: magic, its length, its CRC.
const FRONT: usize = MAGIC.len() + 8;
/// No header is longer.
const MAX_HEADER: usize = 4096;
/// No piece decodes to more: what is gathered at once and one large entry.
pub(crate) const MAX_RAW: u64 = 256 << 20;
const LEVEL: i32 = 1;
/// An entry without its bytes.
const ENTRY: usize = 8 + 8 + 1 + 4;

const BLANK: u8 = 0;
const BATCH: u8 = 1;
const MEMBERSHIP: u8 = 2;

/// What a piece begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The cluster's id.
    pub(crate) cluster: String,
    /// The index of the first entry.
    pub(crate) first: u64,
    /// The last entry.
    pub(crate) last: LogId,
    /// When the first batch in it was evaluated, by the leader's clock.
    pub(crate) began: u64,
    /// When the last one was.
    pub(crate) ended: u64,
    /// Bytes of the entries, not compressed.
    raw: u64,
    /// BLAKE3 of the compressed entries.
    checksum: [u8; 32],
}

/// A piece that is being gathered.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    raw: Vec<u8>,
    first: Option<u64>,
    last: Option<LogId>,
    began: Option<Millis>,
    ended: Millis,
}

/// A piece, ready to be put.
pub(crate) struct Sealed {
    pub(crate) head: Head,
    pub(crate) bytes: Bytes,
}

/// Whether an entry holds more than upkeep, as [`Draft::add`] tells it.
pub(crate) fn matters(entry: &Entry) -> io::Result<bool> {
    Ok(match &entry.payload {
        Payload::Blank => false,
        Payload::Normal(batch) => {
            let contents = batch.decode().map_err(io::Error::other)?;
            !contents.ops.iter().all(is_upkeep)
        }
        Payload::Membership(_) => true,
    })
}

impl Draft {
    /// An empty one, which goes on from a state of `time`.
    pub(crate) fn new(time: Millis) -> Self {
        Self {
            raw: Vec::new(),
            first: None,
            last: None,
            began: None,
            ended: time,
        }
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Bytes gathered.
    pub(crate) fn bytes(&self) -> usize {
        self.raw.len()
    }

    /// When the last batch in it was evaluated, or the state before it.
    pub(crate) fn time(&self) -> Millis {
        self.ended
    }

    /// Adds the next entry. Whether it holds more than upkeep: leases that were
    /// renewed, verdicts that were forgotten.
    pub(crate) fn add(&mut self, entry: &Entry) -> io::Result<bool> {
        let mut matters = true;
        let (kind, bytes) = match &entry.payload {
            Payload::Blank => {
                matters = false;
                (BLANK, Bytes::new())
            }
            Payload::Normal(batch) => {
                let contents = batch.decode().map_err(io::Error::other)?;
                matters = !contents.ops.iter().all(is_upkeep);
                self.began.get_or_insert(contents.time);
                self.ended = contents.time;
                (BATCH, batch.bytes().clone())
            }
            Payload::Membership(members) => {
                let bytes = rmp_serde::to_vec_named(members).map_err(io::Error::other)?;
                (MEMBERSHIP, bytes.into())
            }
        };
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.raw.reserve(ENTRY + bytes.len());
        for number in [term(&entry.log_id), entry.log_id.index] {
            self.raw.extend_from_slice(&number.to_le_bytes());
        }
        self.raw.push(kind);
        self.raw.extend_from_slice(&length.to_le_bytes());
        self.raw.extend_from_slice(&bytes);
        self.first.get_or_insert(entry.log_id.index);
        self.last = Some(entry.log_id);
        Ok(matters)
    }

    /// The piece of `cluster` that it makes; None where nothing is in it. Blocks.
    pub(crate) fn seal(&self, cluster: &str) -> io::Result<Option<Sealed>> {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return Ok(None);
        };
        let stored = zstd::bulk::compress(&self.raw, LEVEL)?;
        let head = Head {
            cluster: cluster.to_owned(),
            first,
            last,
            began: self.began.unwrap_or(self.ended).0,
            ended: self.ended.0,
            raw: self.raw.len() as u64,
            checksum: *blake3::hash(&stored).as_bytes(),
        };
        let header = rmp_serde::to_vec_named(&head).map_err(io::Error::other)?;
        let length = u32::try_from(header.len()).map_err(io::Error::other)?;
        let mut out = Vec::with_capacity(FRONT + header.len() + stored.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(&stored);
        Ok(Some(Sealed {
            head,
            bytes: out.into(),
        }))
    }
}

fn is_upkeep(op: &Op) -> bool {
    let (Op::Put { key, .. } | Op::Delete { key } | Op::DeleteRange { start: key, .. }) = op;
    postrider_meta::is_upkeep(key)
}

/// Reads a piece and checks all of it. The text says what is wrong. Blocks.
pub(crate) fn open(bytes: &Bytes) -> Result<(Head, Vec<Entry>), String> {
    let cut = || "it is cut off".to_owned();
    let mut rest = bytes.clone();
    if rest.len() < FRONT {
        return Err(cut());
    }
    if rest.split_to(MAGIC.len())[..] != MAGIC[..] {
        return Err("it is no piece of a log of this version".into());
    }
    let (length, check) = (rest.get_u32_le() as usize, rest.get_u32_le());
    if length > MAX_HEADER || length > rest.len() {
        return Err(cut());
    }
    let header = rest.split_to(length);
    if crc32fast::hash(&header) != check {
        return Err("the checksum of its header does not match".into());
    }
    let head: Head = rmp_serde::from_slice(&header)
        .map_err(|error| format!("its header cannot be read: {error}"))?;
    if *blake3::hash(&rest).as_bytes() != head.checksum {
        return Err("its checksum does not match".into());
    }
    if head.raw > MAX_RAW {
        return Err("it is longer than any that is written".into());
    }
    let raw = zstd::bulk::decompress(&rest, head.raw as usize)
        .map_err(|error| format!("it cannot be decompressed: {error}"))?;
    let entries = entries(raw.into(), &head)?;
    Ok((head, entries))
}

/// The entries in `raw`, which must be those that the header tells of.
fn entries(mut raw: Bytes, head: &Head) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    while !raw.is_empty() {
        if raw.len() < ENTRY {
            return Err("an entry is cut off".into());
        }
        let id = log_id(raw.get_u64_le(), raw.get_u64_le());
        let (kind, length) = (raw.get_u8(), raw.get_u32_le() as usize);
        if length > raw.len() {
            return Err("an entry is cut off".into());
        }
        let bytes = raw.split_to(length);
        let payload = match kind {
            BLANK => Payload::Blank,
            BATCH => Payload::Normal(Batch::from_bytes(bytes)),
            MEMBERSHIP => rmp_serde::from_slice(&bytes)
                .map(Payload::Membership)
                .map_err(|error| format!("a membership cannot be read: {error}"))?,
            kind => return Err(format!("unknown kind of entry {kind}")),
        };
        let expected = head.first.checked_add(entries.len() as u64);
        let before = entries.last().map_or(0, |entry| term(&entry.log_id));
        if expected != Some(id.index) || term(&id) < before {
            return Err(format!("entry {id} is out of its order"));
        }
        entries.push(Entry {
            log_id: id,
            payload,
        });
    }
    match entries.last() {
        Some(last) if last.log_id == head.last => Ok(entries),
        _ => Err("entries are missing at its end".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(index: u64, key: &'static [u8]) -> Entry {
        let op = Op::Put {
            key: Bytes::from_static(key),
            value: Bytes::from(vec![7; 300]),
        };
        let time = Millis(1_000 * index);
        Entry {
            log_id: log_id(3, index),
            payload: Payload::Normal(Batch::encode(3, index - 1, time, &[], &[op])),
        }
    }

    fn blank(index: u64) -> Entry {
        Entry {
            log_id: log_id(3, index),
            payload: Payload::Blank,
        }
    }

    fn piece(entries: &[Entry]) -> Bytes {
        let mut draft = Draft::new(Millis(5));
        for entry in entries {
            draft.add(entry).unwrap();
        }
        draft.seal("cafe").unwrap().unwrap().bytes
    }

    #[test]
    fn a_piece_comes_back_whole_and_any_flipped_bit_is_found() {
        let entries = [blank(7), batch(8, b"gDx"), batch(9, b"gDy")];
        let bytes = piece(&entries);
        let (head, read) = open(&bytes).unwrap();
        assert_eq!((head.first, head.last), (7, log_id(3, 9)));
        assert_eq!((head.began, head.ended), (8_000, 9_000));
        assert_eq!(head.cluster, "cafe");
        assert_eq!(format!("{read:?}"), format!("{entries:?}"));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&damaged.into()).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(open(&bytes.slice(..length)).is_err(), "{length}");
        }
    }

    #[test]
    fn a_piece_with_a_gap_is_none() {
        let refused = open(&piece(&[batch(8, b"gDx"), batch(10, b"gDy")]));
        assert!(refused.unwrap_err().contains("order"));
    }

    #[test]
    fn upkeep_is_told_from_what_matters() {
        let mut draft = Draft::new(Millis(5));
        assert!(!draft.add(&blank(1)).unwrap());
        assert_eq!(draft.time(), Millis(5));
        assert!(!draft.add(&batch(2, b"glbackground")).unwrap());
        assert!(draft.add(&batch(3, b"gDexample")).unwrap());
        assert!(!matters(&blank(1)).unwrap());
        assert!(!matters(&batch(2, b"glbackground")).unwrap());
        assert!(matters(&batch(3, b"gDexample")).unwrap());
        assert_eq!(draft.time(), Millis(3_000));
    }
}
