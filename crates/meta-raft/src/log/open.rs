//! Makes a log, and opens one that is there.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::pen::Pen;
use super::record::{self, Facts, Mark, SEGMENT_HEADER, SegmentHeader};
use super::recover;
use super::segment::{self, make_dir, sync_dir};
use super::shared::{Opened, Shared, Slot, State};
use super::writer::Writer;
use super::{Handle, Layout, Log};
use crate::error::{Error, Result};

impl Log {
    /// Makes an empty log in `dir`, which does not exist, whole or not at all.
    pub(crate) fn create(dir: &Path, node: u64, layout: Layout) -> Result<()> {
        let draft = dir.with_extension("new");
        if draft.exists() {
            fs::remove_dir_all(&draft).map_err(Error::io("cannot remove", &draft))?;
        }
        make_dir(&draft)?;
        let header = SegmentHeader {
            seed: crate::simulation::random(),
            node,
            sequence: 1,
            base: 0,
            size: layout.segment_bytes,
            facts: Facts::default(),
        };
        let path = segment::path(&draft, 1);
        let file = segment::allocate(&path, header.size)?;
        file.write_all_at(&header.encode(), 0)
            .and_then(|()| file.sync_all())
            .map_err(Error::io("cannot write", &path))?;
        let mark = Mark {
            seed: header.seed,
            counter: 0,
            synced: SEGMENT_HEADER as u64,
            sequence: 1,
        };
        let file = segment::open_mark(&draft)?;
        file.set_len(2 * record::MARK_SLOT as u64)
            .and_then(|()| segment::write_mark(&file, &mark))
            .and_then(|()| file.sync_all())
            .map_err(Error::io("cannot write the mark in", &draft))?;
        sync_dir(&draft)?;
        fs::rename(&draft, dir).map_err(Error::io("cannot rename", &draft))?;
        sync_dir(dir.parent().unwrap_or(Path::new(".")))
    }

    /// Opens the log in `dir`. Cuts a torn tail; refuses damage.
    pub(crate) fn open(dir: &Path, node: u64, layout: Layout) -> Result<Self> {
        let found = recover::recover(dir, node)?;
        if found.cut > 0 {
            tracing::warn!(
                bytes = found.cut,
                "cut a torn tail off the Raft log: a write that was never acknowledged"
            );
        }
        let slots = found.entries.iter().map(|(id, location)| Slot {
            id: *id,
            ticket: 0,
            location: Some(*location),
            entry: None,
            size: 0,
        });
        let slots: VecDeque<Slot> = slots.collect();
        let state = State {
            cached_from: slots.back().map_or(0, |slot| slot.id.index + 1),
            slots,
            facts: found.facts.clone(),
            tickets: 0,
            files: found
                .segments
                .iter()
                .map(|s| (s.header.sequence, Opened::new(&s.header, &s.file)))
                .collect(),
            cached_bytes: 0,
            failure: None,
        };
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            segment_bytes: layout.segment_bytes,
            cache_bytes: layout.cache_bytes,
            state: Mutex::new(state),
            queue: Mutex::default(),
            wake: Condvar::new(),
            flushed: watch::channel(0).0,
            cut: found.cut,
        });
        let writer = Writer::new(
            Arc::clone(&shared),
            found.segments,
            found.offset,
            found.facts,
            found.counter,
        )?;
        let pen = Pen::new(writer, &shared)?;
        Ok(Self {
            handle: Arc::new(Handle { shared, pen }),
        })
    }
}
