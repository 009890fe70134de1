//! The stored form of a large body in an object of its own: blocks of 64 KiB,
//! each compressed where that helps and checksummed, so that any range is read
//! cheaply and checked.
//!
//! ```text
//! header  8  "prblock" and the version, 1
//! blocks     as they are or one zstd frame each, one after the other
//! table      per block: u32 stored length, the top bit set for a zstd frame;
//!            16 bytes of the BLAKE3 of the stored bytes
//! footer 32  BLAKE3 of the decoded body: ties the object to its row
//!        32  BLAKE3 of header, table, the 32 bytes before and the 8 behind
//!         8  u64 decoded length
//!         8  the header again
//! ```
//! Numbers are little endian. All blocks but the last hold 64 KiB decoded, so
//! the decoded length tells how many there are and where the table begins.

use std::ops::Range;

use bytes::Bytes;

use crate::codec;

/// Decoded bytes in a block.
pub(crate) const BLOCK: u64 = 64 << 10;

const HEADER: &[u8; 8] = b"prblock\x01";
const SUM: usize = 16;
const ENTRY: usize = 4 + SUM;
const FOOTER: usize = 32 + 32 + 8 + HEADER.len();
const COMPRESSED: u32 = 1 << 31;

/// After a block that did not shrink this many are not tried: an archive in an
/// attachment stays incompressible for long.
const SKIP: u8 = 7;

/// Encodes a body as it comes in.
pub(crate) struct Writer {
    pending: Vec<u8>,
    table: Vec<u8>,
    body: blake3::Hasher,
    size: u64,
    skip: u8,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self {
            pending: Vec::with_capacity(BLOCK as usize),
            table: Vec::new(),
            body: blake3::Hasher::new(),
            size: 0,
            skip: 0,
        }
    }

    /// Takes the next bytes of the body and adds what they complete to `out`.
    pub(crate) fn push(&mut self, mut bytes: &[u8], out: &mut Vec<Bytes>) {
        while !bytes.is_empty() {
            let room = BLOCK as usize - self.pending.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() == BLOCK as usize {
                self.flush(out);
            }
        }
    }

    /// Ends the object. The body's checksum.
    pub(crate) fn finish(mut self, out: &mut Vec<Bytes>) -> [u8; 32] {
        if !self.pending.is_empty() || self.table.is_empty() {
            self.flush(out);
        }
        let body = *self.body.finalize().as_bytes();
        let root = root(&self.table, &body, self.size);
        let mut tail = self.table;
        tail.extend_from_slice(&body);
        tail.extend_from_slice(&root);
        tail.extend_from_slice(&self.size.to_le_bytes());
        tail.extend_from_slice(HEADER);
        out.push(tail.into());
        body
    }

    fn flush(&mut self, out: &mut Vec<Bytes>) {
        if self.table.is_empty() {
            out.push(Bytes::from_static(HEADER));
        }
        if self.pending.is_empty() {
            return;
        }
        self.body.update(&self.pending);
        self.size += self.pending.len() as u64;
        let packed = match self.skip {
            0 => codec::compress(&self.pending),
            _ => None,
        };
        self.skip = match (&packed, self.skip) {
            (Some(_), _) => 0,
            (None, 0) => SKIP,
            (None, left) => left - 1,
        };
        let mark = if packed.is_some() { COMPRESSED } else { 0 };
        let next = Vec::with_capacity(BLOCK as usize);
        let plain = std::mem::replace(&mut self.pending, next);
        let stored = packed.unwrap_or(plain);
        let length = u32::try_from(stored.len()).expect("a block has at most 64 KiB");
        self.table.extend_from_slice(&(length | mark).to_le_bytes());
        self.table
            .extend_from_slice(&blake3::hash(&stored).as_bytes()[..SUM]);
        out.push(stored.into());
    }
}

fn root(table: &[u8], body: &[u8; 32], size: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(HEADER)
        .update(table)
        .update(body)
        .update(&size.to_le_bytes());
    *hasher.finalize().as_bytes()
}

/// Where the blocks of one object lie and what they must hash to.
#[derive(Debug)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    size: u64,
}

#[derive(Debug)]
struct Entry {
    offset: u64,
    length: u32,
    compressed: bool,
    sum: [u8; SUM],
}

/// The part of an object of `length` bytes that [`Table::read`] needs; None where
/// a body of `size` bytes cannot be in it.
pub(crate) fn tail(size: u64, length: u64) -> Option<Range<u64>> {
    let tail = size
        .div_ceil(BLOCK)
        .checked_mul(ENTRY as u64)?
        .checked_add(FOOTER as u64)?;
    let start = length.checked_sub(tail)?;
    (start >= HEADER.len() as u64).then_some(start..length)
}

impl Table {
    /// Reads the table and the footer of an object of `length` bytes that holds a
    /// body of `size` bytes with this checksum. The text says what is wrong.
    pub(crate) fn read(
        tail: &[u8],
        size: u64,
        checksum: &[u8; 32],
        length: u64,
    ) -> Result<Self, String> {
        let (table, footer) = tail
            .len()
            .checked_sub(FOOTER)
            .and_then(|at| tail.split_at_checked(at))
            .ok_or("the footer is cut")?;
        let (body, rest) = footer
            .split_first_chunk::<32>()
            .ok_or("the footer is cut")?;
        let (sum, rest) = rest.split_first_chunk::<32>().ok_or("the footer is cut")?;
        let (told, header) = rest.split_first_chunk::<8>().ok_or("the footer is cut")?;
        if header != HEADER {
            return Err("the footer has another form or version".into());
        }
        if u64::from_le_bytes(*told) != size || body != checksum {
            return Err("the object holds another body".into());
        }
        if root(table, body, size) != *sum {
            return Err("the checksum of the block table does not match".into());
        }
        let mut offset = HEADER.len() as u64;
        let mut entries = Vec::with_capacity(table.len() / ENTRY);
        for entry in table.chunks_exact(ENTRY) {
            let (word, sum) = entry.split_first_chunk::<4>().ok_or("the table is cut")?;
            let word = u32::from_le_bytes(*word);
            let length = word & !COMPRESSED;
            entries.push(Entry {
                offset,
                length,
                compressed: word & COMPRESSED != 0,
                sum: sum.try_into().map_err(|_| "the table is cut")?,
            });
            offset += u64::from(length);
        }
        let whole = entries.len() as u64 == size.div_ceil(BLOCK)
            && offset.checked_add(tail.len() as u64) == Some(length)
            && entries.iter().all(|e| u64::from(e.length) <= BLOCK);
        if !whole {
            return Err("the blocks do not fill the object".into());
        }
        Ok(Self { entries, size })
    }

    /// Where the blocks `numbers` are stored; None behind the end.
    pub(crate) fn stored(&self, numbers: Range<u64>) -> Option<Vec<Range<u64>>> {
        let numbers = usize::try_from(numbers.start).ok()?..usize::try_from(numbers.end).ok()?;
        let ranges = self.entries.get(numbers)?.iter();
        Some(
            ranges
                .map(|e| e.offset..e.offset + u64::from(e.length))
                .collect(),
        )
    }

    /// Checks and decodes block `number`. The text says what is wrong.
    pub(crate) fn decode(&self, number: u64, stored: &Bytes) -> Result<Bytes, String> {
        let entry = usize::try_from(number)
            .ok()
            .and_then(|n| self.entries.get(n))
            .ok_or("there is no such block")?;
        if blake3::hash(stored).as_bytes()[..SUM] != entry.sum {
            return Err(format!("the checksum of block {number} does not match"));
        }
        let size = BLOCK.min(self.size - number * BLOCK) as usize;
        if entry.compressed {
            return codec::decompress(stored, size).map(Bytes::from);
        }
        if stored.len() != size {
            return Err(format!(
                "block {number} has {} bytes, not {size}",
                stored.len()
            ));
        }
        Ok(stored.clone())
    }
}

#[cfg(test)]
mod tests;
