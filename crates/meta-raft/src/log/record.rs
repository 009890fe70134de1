//! The bytes of the log: records and segment headers. Encodes and checks;
//! opens no file and decides nothing.
//!
//! A record is a header of 56 bytes and a body, padded to 8. Header and body
//! have a CRC each, mixed with the log's random id, so that bytes from another
//! log or from a mail that imitates a record are no record. Each record names
//! its own position (they ascend over all segments) and the position up to
//! which the log was known to be durable when it was written: a record that
//! cannot be read below such a position is damage, never a torn write.

use bytes::Bytes;

use crate::raft::{LogId, Vote, log_id, term};

/// Bytes of a record header.
pub(super) const HEADER: usize = 56;
/// Bytes reserved for a segment's header.
pub(super) const SEGMENT_HEADER: usize = 4096;
/// Records begin at multiples of this.
pub(super) const ALIGN: usize = 8;
/// The most bytes of a body: far above any batch.
pub(super) const MAX_BODY: usize = 1 << 30;

const MAGIC: u32 = u32::from_le_bytes(*b"PRrc");
const SEGMENT_MAGIC: &[u8; 8] = b"PRraftlg";
const VERSION: u32 = 1;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An entry without content.
    Blank = 1,
    /// An entry with a batch.
    Batch = 2,
    /// An entry with a membership.
    Membership = 3,
    /// A vote.
    Vote = 4,
    /// How far entries are known to be committed.
    Committed = 5,
    /// Entries after this id are gone.
    Truncate = 6,
    /// Entries up to this id are gone.
    Purge = 7,
    /// The last record of a full segment.
    Seal = 8,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Blank,
            2 => Self::Batch,
            3 => Self::Membership,
            4 => Self::Vote,
            5 => Self::Committed,
            6 => Self::Truncate,
            7 => Self::Purge,
            8 => Self::Seal,
            _ => return None,
        })
    }

    /// Whether it is a Raft entry.
    pub(super) fn is_entry(self) -> bool {
        matches!(self, Self::Blank | Self::Batch | Self::Membership)
    }
}

/// A record before it has a position.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// What it is.
    pub(super) kind: Kind,
    /// False: the id below means "none". For a vote: it is committed.
    pub(super) flag: bool,
    /// The term.
    pub(super) term: u64,
    /// The index; for a vote the node.
    pub(super) index: u64,
    /// The body.
    pub(super) body: Bytes,
}

impl Record {
    /// A record that carries an optional id and no body.
    pub(super) fn id(kind: Kind, id: Option<&LogId>) -> Self {
        Self {
            kind,
            flag: id.is_some(),
            term: id.map_or(0, term),
            index: id.map_or(0, |id| id.index),
            body: Bytes::new(),
        }
    }

    /// A vote.
    pub(super) fn vote(vote: &Vote) -> Self {
        Self {
            kind: Kind::Vote,
            flag: vote.committed,
            term: vote.leader_id.term,
            index: vote.leader_id.voted_for,
            body: Bytes::new(),
        }
    }

    /// The bytes that it takes in a segment.
    pub(super) fn span(&self) -> u64 {
        span(self.body.len())
    }

    /// Appends it to `out`.
    pub(super) fn encode(&self, seed: u64, position: u64, synced: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[self.kind as u8, u8::from(self.flag), 0, 0]);
        let length = u32::try_from(self.body.len()).expect("bodies are below MAX_BODY");
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&checksum(seed, &self.body).to_le_bytes());
        for number in [position, synced, self.term, self.index] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let check = checksum(seed, &out[start..]);
        out.extend_from_slice(&check.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.body);
        out.resize(start + self.span() as usize, 0);
    }
}

/// The bytes of a record with a body of `length`.
pub(super) fn span(length: usize) -> u64 {
    (HEADER + length).next_multiple_of(ALIGN) as u64
}

fn checksum(seed: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// A record header as found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// What it is.
    pub(super) kind: Kind,
    /// See [`Record::flag`].
    pub(super) flag: bool,
    /// Bytes of the body.
    pub(super) length: usize,
    /// The log was durable up to here when it was written.
    pub(super) synced: u64,
    /// The term.
    pub(super) term: u64,
    /// The index; for a vote the node.
    pub(super) index: u64,
    body_check: u32,
}

impl Header {
    /// Reads the header at the start of `bytes`, which must be the record for
    /// `position`. None if there is none.
    pub(super) fn read(seed: u64, position: u64, bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER)?;
        if u32_at(bytes, 0) != MAGIC
            || u64_at(bytes, 16) != position
            || u32_at(bytes, 48) != checksum(seed, &bytes[..48])
        {
            return None;
        }
        let length = u32_at(bytes, 8) as usize;
        if length > MAX_BODY {
            return None;
        }
        Some(Self {
            kind: Kind::from_byte(bytes[4])?,
            flag: bytes[5] != 0,
            length,
            body_check: u32_at(bytes, 12),
            synced: u64_at(bytes, 24),
            term: u64_at(bytes, 32),
            index: u64_at(bytes, 40),
        })
    }

    /// Whether `body` is this record's.
    pub(super) fn fits(&self, seed: u64, body: &[u8]) -> bool {
        body.len() == self.length && checksum(seed, body) == self.body_check
    }

    /// The id, or none.
    pub(super) fn id(&self) -> Option<LogId> {
        self.flag.then(|| log_id(self.term, self.index))
    }

    /// The bytes of the whole record.
    pub(super) fn span(&self) -> u64 {
        span(self.length)
    }
}

/// What the log knows beside its entries. Each segment begins with it, so that
/// older segments can go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The vote.
    pub(super) vote: Option<Vote>,
    /// Entries up to here are known to be committed.
    pub(super) committed: Option<LogId>,
    /// Entries up to here are gone.
    pub(super) purged: Option<LogId>,
    /// The last entry, or what was purged last.
    pub(super) last: Option<LogId>,
}

impl Facts {
    /// Takes in a record.
    pub(super) fn advance(&mut self, kind: Kind, flag: bool, term: u64, index: u64) {
        let id = flag.then(|| log_id(term, index));
        match kind {
            Kind::Vote if flag => self.vote = Some(Vote::new_committed(term, index)),
            Kind::Vote => self.vote = Some(Vote::new(term, index)),
            Kind::Committed => self.committed = id,
            Kind::Truncate => self.last = id.max(self.purged),
            Kind::Purge => {
                self.purged = id;
                self.last = self.last.max(id);
            }
            Kind::Blank | Kind::Batch | Kind::Membership => {
                self.last = Some(log_id(term, index));
            }
            Kind::Seal => {}
        }
    }
}

/// A segment's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// The log's random id.
    pub(super) seed: u64,
    /// Whose log it is.
    pub(super) node: u64,
    /// Segments are numbered without a gap.
    pub(super) sequence: u64,
    /// The position of the file's first byte.
    pub(super) base: u64,
    /// The file's length.
    pub(super) size: u64,
    /// What was known when it was begun.
    pub(super) facts: Facts,
}

impl SegmentHeader {
    /// Its bytes, [`SEGMENT_HEADER`] of them.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER);
        out.extend_from_slice(SEGMENT_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for number in [self.seed, self.node, self.sequence, self.base, self.size] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let vote = self.facts.vote.as_ref();
        let (voter, chosen) = vote.map_or((0, 0), |v| (v.leader_id.voted_for, v.leader_id.term));
        let state = vote.map_or(0, |v| 1 + u64::from(v.committed));
        for number in [state, chosen, voter] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for id in [&self.facts.committed, &self.facts.purged, &self.facts.last] {
            let id = id.as_ref();
            for number in [
                u64::from(id.is_some()),
                id.map_or(0, term),
                id.map_or(0, |id| id.index),
            ] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        let check = checksum(self.seed, &out);
        out.extend_from_slice(&check.to_le_bytes());
        out.resize(SEGMENT_HEADER, 0);
        out
    }

    /// Reads it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        const CHECKED: usize = 16 + 8 * (5 + 3 + 9);
        let bytes = bytes
            .get(..CHECKED + 4)
            .ok_or("the segment header is cut off")?;
        if &bytes[..8] != SEGMENT_MAGIC {
            return Err("this is not a log segment, or its first bytes are damaged");
        }
        let number = |at: usize| u64_at(bytes, 16 + 8 * at);
        let seed = number(0);
        if u32_at(bytes, CHECKED) != checksum(seed, &bytes[..CHECKED]) {
            return Err("the checksum of the segment header does not match");
        }
        if u32_at(bytes, 8) != VERSION {
            return Err("a later version of Postrider wrote this segment");
        }
        let id = |at: usize| (number(at) != 0).then(|| log_id(number(at + 1), number(at + 2)));
        let vote = match number(5) {
            0 => None,
            1 => Some(Vote::new(number(6), number(7))),
            _ => Some(Vote::new_committed(number(6), number(7))),
        };
        Ok(Self {
            seed,
            node: number(1),
            sequence: number(2),
            base: number(3),
            size: number(4),
            facts: Facts {
                vote,
                committed: id(8),
                purged: id(11),
                last: id(14),
            },
        })
    }
}

/// The number at `at`, which lies within `bytes`.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// The number at `at`, which lies within `bytes`.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

/// The mark: up to where the log is durable, kept beside it. Two slots are
/// written in turn, so that one is whole whatever happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The log's id.
    pub(super) seed: u64,
    /// Ascends; the higher slot counts.
    pub(super) counter: u64,
    /// The log is durable up to this position.
    pub(super) synced: u64,
    /// The segment that holds it.
    pub(super) sequence: u64,
}

/// Bytes of a slot of the mark file; a page, so that one write tears one slot.
pub(super) const MARK_SLOT: usize = 4096;
const MARK_LENGTH: usize = 44;

impl Mark {
    /// Its bytes.
    pub(super) fn encode(&self) -> [u8; MARK_LENGTH] {
        let mut out = [0; MARK_LENGTH];
        out[..8].copy_from_slice(b"PRlgmark");
        for (at, number) in [self.seed, self.counter, self.synced, self.sequence]
            .into_iter()
            .enumerate()
        {
            out[8 + 8 * at..16 + 8 * at].copy_from_slice(&number.to_le_bytes());
        }
        let check = checksum(self.seed, &out[..40]);
        out[40..].copy_from_slice(&check.to_le_bytes());
        out
    }

    /// Reads a slot; None if it is not whole.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..MARK_LENGTH)?;
        let mark = Self {
            seed: u64_at(bytes, 8),
            counter: u64_at(bytes, 16),
            synced: u64_at(bytes, 24),
            sequence: u64_at(bytes, 32),
        };
        (&bytes[..8] == b"PRlgmark" && u32_at(bytes, 40) == checksum(mark.seed, &bytes[..40]))
            .then_some(mark)
    }
}
