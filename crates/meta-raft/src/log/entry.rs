//! Entries and the records that carry them, in memory and on disk.

use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use super::record::{self, HEADER, Header, Kind, Record};
use super::{Log, segment};
use crate::batch::Batch;
use crate::error::Error;
use crate::raft::{Entry, Payload, term};

impl Log {
    /// The entry at `index`; None if it is not in the log. May read the disk.
    pub(super) fn entry(&self, index: u64) -> io::Result<Option<Entry>> {
        let shared = self.shared();
        let (id, location, segment) = {
            let state = shared.state.lock();
            let Some(slot) = state.slot(index) else {
                return Ok(None);
            };
            if let Some(entry) = &slot.entry {
                return Ok(Some(entry.clone()));
            }
            let location = slot.location.expect("an entry is in memory or on disk");
            (
                slot.id,
                location,
                state.files.get(&location.sequence).cloned(),
            )
        };
        let segment =
            segment.ok_or_else(|| io::Error::other("the entry was purged while it was read"))?;
        let damaged = |reason: &str| {
            let path = segment::path(&shared.dir, location.sequence);
            let error = Error::damaged(&path, location.offset, reason);
            shared.fail(&error.to_string());
            io::Error::other(error)
        };
        let mut bytes = vec![0; HEADER + location.length];
        segment.file.read_exact_at(&mut bytes, location.offset)?;
        let (seed, position) = (segment.seed, segment.base + location.offset);
        let header = Header::read(seed, position, &bytes)
            .ok_or_else(|| damaged("the record of an entry cannot be read"))?;
        let body = Bytes::from(bytes).slice(HEADER..);
        if !header.fits(seed, &body) || header.index != id.index || header.term != term(&id) {
            return Err(damaged(
                "the record of an entry does not match its checksum",
            ));
        }
        let payload = decode(header.kind, body).map_err(|reason| damaged(&reason))?;
        Ok(Some(Entry {
            log_id: id,
            payload,
        }))
    }
}

/// An entry as a record.
pub(super) fn encode(entry: &Entry) -> io::Result<Record> {
    let (kind, body) = match &entry.payload {
        Payload::Blank => (Kind::Blank, Bytes::new()),
        Payload::Normal(batch) => (Kind::Batch, batch.bytes().clone()),
        Payload::Membership(members) => {
            let body = rmp_serde::to_vec_named(members).map_err(io::Error::other)?;
            (Kind::Membership, Bytes::from(body))
        }
    };
    if body.len() > record::MAX_BODY {
        return Err(io::Error::other("an entry is too large for the log"));
    }
    Ok(Record {
        kind,
        flag: true,
        term: term(&entry.log_id),
        index: entry.log_id.index,
        body,
    })
}

/// What an entry's record carries.
pub(super) fn decode(kind: Kind, body: Bytes) -> Result<Payload, String> {
    match kind {
        Kind::Blank => Ok(Payload::Blank),
        Kind::Batch => Ok(Payload::Normal(Batch::from_bytes(body))),
        Kind::Membership => rmp_serde::from_slice(&body)
            .map(Payload::Membership)
            .map_err(|error| format!("a membership cannot be read: {error}")),
        _ => Err("the record is no entry".into()),
    }
}
