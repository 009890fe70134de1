//! Reads the log at start and tells a torn tail from damage.
//!
//! A torn tail is what a crash leaves of a group whose sync had not returned:
//! nobody was told of it, and it is cut. It can only lie behind every position
//! that is known to have been durable: the mark, and the `synced` of every
//! record that can still be read. All else that does not read is damage, and
//! the log is left as it is.
//!
//! What stays undetectable: after a power failure that lost the last mark, one
//! damaged group right at the end looks like a torn one (the mark is synced
//! within a second of the last group, and the state engine may know better);
//! and a disk that goes back in time as a whole, mark included.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::{ALIGN, Facts, HEADER, Header, Kind, SEGMENT_HEADER, SegmentHeader};
use super::segment;
use crate::error::{Error, Result};
use crate::raft::{LogId, log_id};

/// Where an entry's record lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Location {
    /// The segment.
    pub(super) sequence: u64,
    /// The record's first byte in it.
    pub(super) offset: u64,
    /// The bytes of the body.
    pub(super) length: usize,
}

/// A segment with its open file.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// Its header.
    pub(super) header: SegmentHeader,
    /// Its file, open for reading and writing.
    pub(super) file: Arc<File>,
    /// Its highest entry so far, even if it was truncated since.
    pub(super) highest: u64,
}

/// The log as found.
#[derive(Debug)]
pub(super) struct Recovered {
    /// All segments, ascending; the last is written on.
    pub(super) segments: Vec<Segment>,
    /// Where the next record goes in the last segment.
    pub(super) offset: u64,
    /// Vote, committed, purged, last.
    pub(super) facts: Facts,
    /// The entries after what was purged, without a gap.
    pub(super) entries: VecDeque<(LogId, Location)>,
    /// The mark's counter.
    pub(super) counter: u64,
    /// Bytes of a torn tail that were cut.
    pub(super) cut: u64,
}

/// Reads the log in `dir`, which exists.
pub(super) fn recover(dir: &Path, node: u64) -> Result<Recovered> {
    let sequences = segment::list(dir)?;
    let mark_path = segment::mark_path(dir);
    let mark = segment::read_mark(dir)?.ok_or_else(|| {
        Error::damaged(
            &mark_path,
            0,
            "the mark of what is durable is missing or unreadable",
        )
    })?;
    let mut scan = Scan {
        dir,
        node,
        seed: mark.seed,
        facts: Facts::default(),
        entries: VecDeque::new(),
        synced: mark.synced,
    };
    let mut segments: Vec<Segment> = Vec::with_capacity(sequences.len());
    let mut end = (0, 0);
    let last = match sequences.last() {
        Some(last) if *last >= mark.sequence => *last,
        _ => return Err(scan.missing(mark.sequence)),
    };
    for (at, sequence) in sequences.iter().enumerate() {
        let previous = segments.last().map(|s| &s.header);
        if let Some(previous) = previous
            && previous.sequence + 1 != *sequence
        {
            return Err(scan.missing(previous.sequence + 1));
        }
        let (found, bytes) = scan.open(*sequence, previous)?;
        if at == 0 {
            scan.facts = found.header.facts.clone();
        }
        let first_last = found.header.facts.last.map(|id| id.index);
        segments.push(found);
        let segment = segments.last_mut().expect("one was pushed");
        end = scan.read(segment, &bytes, *sequence == last)?;
        if at == 0 {
            segment.highest = segment.highest.max(first_last.unwrap_or(0));
        }
    }
    scan.check_start(&segments[0])?;
    segment::remove_spare(dir)?;
    Ok(Recovered {
        offset: end.0,
        cut: end.1,
        facts: scan.facts,
        entries: scan.entries,
        counter: mark.counter,
        segments,
    })
}

struct Scan<'a> {
    dir: &'a Path,
    node: u64,
    seed: u64,
    facts: Facts,
    entries: VecDeque<(LogId, Location)>,
    /// The mark's position.
    synced: u64,
}

impl Scan<'_> {
    fn missing(&self, sequence: u64) -> Error {
        let path = segment::path(self.dir, sequence);
        Error::damaged(&path, 0, "this file of the log is missing")
    }

    /// Opens a segment, checks its length and header, and reads it whole.
    fn open(&self, sequence: u64, previous: Option<&SegmentHeader>) -> Result<(Segment, Vec<u8>)> {
        let path = segment::path(self.dir, sequence);
        let bytes = fs::read(&path).map_err(Error::io("cannot read", &path))?;
        let header =
            SegmentHeader::decode(&bytes).map_err(|reason| Error::damaged(&path, 0, reason))?;
        let damaged = |offset, reason: String| Err(Error::damaged(&path, offset, reason));
        if header.seed != self.seed || header.sequence != sequence {
            return damaged(0, "the file belongs to another log or place".into());
        }
        if header.node != self.node {
            return Err(Error::Folder {
                path: self.dir.to_owned(),
                reason: format!(
                    "this is the log of node {}, not of node {}; set the right node id",
                    header.node, self.node
                ),
            });
        }
        if header.size != bytes.len() as u64 {
            let reason = format!(
                "the file has {} bytes, but {} were allocated",
                bytes.len(),
                header.size
            );
            return damaged(bytes.len() as u64, reason);
        }
        if let Some(previous) = previous {
            if header.base != previous.base + previous.size {
                return damaged(0, "the file does not continue the one before it".into());
            }
            if header.facts != self.facts {
                return damaged(0, "the file disagrees with the one before it".into());
            }
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(Error::io("cannot open", &path))?;
        let segment = Segment {
            header,
            file: Arc::new(file),
            highest: 0,
        };
        Ok((segment, bytes))
    }

    /// Takes in a segment's records. Answers where they end, and how many bytes
    /// of a torn tail were cut there.
    fn read(&mut self, segment: &mut Segment, bytes: &[u8], last: bool) -> Result<(u64, u64)> {
        let path = segment::path(self.dir, segment.header.sequence);
        let base = segment.header.base;
        let mut offset = SEGMENT_HEADER;
        loop {
            let position = base + offset as u64;
            let header = bytes
                .get(offset..)
                .and_then(|rest| Header::read(self.seed, position, rest));
            let whole = header.filter(|header| {
                bytes
                    .get(offset + HEADER..offset + HEADER + header.length)
                    .is_some_and(|body| header.fits(self.seed, body))
            });
            let Some(header) = whole else {
                if !last {
                    let reason = "a record cannot be read, and a later file follows";
                    return Err(Error::damaged(&path, offset as u64, reason));
                }
                let cut = self.cut(segment, &path, bytes, offset)?;
                return Ok((offset as u64, cut));
            };
            if header.kind == Kind::Seal {
                if last {
                    // A crash after the seal and before the next file: it goes on there.
                    return Ok((segment.header.size, 0));
                }
                return Ok((offset as u64 + header.span(), 0));
            }
            let location = Location {
                sequence: segment.header.sequence,
                offset: offset as u64,
                length: header.length,
            };
            if header.kind.is_entry() {
                segment.highest = segment.highest.max(header.index);
            }
            self.take(&header, location)
                .map_err(|reason| Error::damaged(&path, offset as u64, reason))?;
            offset += header.span() as usize;
        }
    }

    /// Takes in one record.
    fn take(&mut self, header: &Header, location: Location) -> Result<(), &'static str> {
        match header.kind {
            Kind::Truncate => {
                let keep = header.id().map_or(0, |id| id.index + 1);
                while self.entries.back().is_some_and(|e| e.0.index >= keep) {
                    self.entries.pop_back();
                }
            }
            Kind::Purge => {
                let id = header.id().ok_or("a purge without an id")?;
                while self.entries.front().is_some_and(|e| e.0.index <= id.index) {
                    self.entries.pop_front();
                }
            }
            Kind::Blank | Kind::Batch | Kind::Membership => {
                let next = self.facts.last.map(|last| last.index + 1);
                if next.is_some_and(|next| next != header.index) {
                    return Err("the entries do not follow each other");
                }
                let id = log_id(header.term, header.index);
                self.entries.push_back((id, location));
            }
            Kind::Vote | Kind::Committed | Kind::Seal => {}
        }
        self.facts
            .advance(header.kind, header.flag, header.term, header.index);
        Ok(())
    }

    /// Decides what the unreadable rest of the last segment is: nothing, a torn
    /// tail (cut), or damage.
    fn cut(&self, segment: &Segment, path: &PathBuf, bytes: &[u8], offset: usize) -> Result<u64> {
        let base = segment.header.base;
        let position = base + offset as u64;
        if position < self.synced {
            let reason = "a record that was durable cannot be read";
            return Err(Error::damaged(path, offset as u64, reason));
        }
        let rest = &bytes[offset..];
        let Some(dirty) = rest.iter().rposition(|byte| *byte != 0) else {
            return Ok(0);
        };
        for later in (ALIGN..rest.len()).step_by(ALIGN) {
            let place = position + later as u64;
            if let Some(header) = Header::read(self.seed, place, &rest[later..])
                && header.synced > position
            {
                let reason = format!(
                    "a record cannot be read, but the record at byte {} shows that it was durable",
                    offset + later
                );
                return Err(Error::damaged(path, offset as u64, reason));
            }
        }
        let zeros = vec![0; dirty + 1];
        segment
            .file
            .write_all_at(&zeros, offset as u64)
            .and_then(|()| segment.file.sync_data())
            .map_err(Error::io("cannot cut the torn tail of", path))?;
        Ok(dirty as u64 + 1)
    }

    /// The oldest segment must reach back to what was purged.
    fn check_start(&self, first: &Segment) -> Result<()> {
        let purged = self.facts.purged.map(|id| id.index);
        let whole = match (self.entries.front(), purged) {
            (Some((first, _)), Some(purged)) => first.index == purged + 1,
            (Some(_), None) => first.header.facts.last.is_none(),
            (None, _) => self.facts.last.map(|id| id.index) == purged,
        };
        if !whole {
            return Err(self.missing(first.header.sequence.saturating_sub(1)));
        }
        Ok(())
    }
}
