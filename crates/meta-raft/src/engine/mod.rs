//! The state on disk: what the Raft log has built up so far, in fjall.
//!
//! Nothing here is the only copy: log and newest snapshot rebuild it. So writes
//! are not synced, and a state that looks damaged is dropped whole. Its keys lie in
//! several keyspaces (`space.rs`), which is seen nowhere else. Each state
//! lies in a folder of its own, a generation; a received snapshot becomes a new
//! generation that takes the place of the old one when it is complete.

mod generation;
mod progress;
mod space;
mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::RwLock;
use postrider_kv::{Op, Pair};

use self::generation::{DISTRUSTED, Failure, Generation, engine, generations, remove};
pub(crate) use self::progress::Progress;
pub(crate) use self::view::View;
use crate::error::{Error, Result};

/// Pairs of a snapshot are written in batches of this many bytes.
const FILL_BYTES: usize = 4 << 20;

/// Bounds of the engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of the block cache.
    pub(crate) cache_bytes: u64,
    /// Bytes of writes of a keyspace in memory before they are flushed.
    pub(crate) buffer_bytes: u64,
    /// Bytes of the engine's own journal, at least 64 MiB.
    pub(crate) journal_bytes: u64,
}

/// The state engine.
pub(crate) struct Engine {
    root: PathBuf,
    bounds: Bounds,
    current: RwLock<Arc<Generation>>,
    failure: Failure,
}

impl Engine {
    /// Opens the state in `root`, or begins an empty one. A damaged or
    /// incomplete state is dropped.
    pub(crate) fn open(root: &Path, bounds: Bounds) -> Result<Self> {
        crate::log::make_dir(root)?;
        let mut numbers = generations(root)?;
        let marker = root.join(DISTRUSTED);
        if marker.exists() {
            tracing::warn!("the state was found damaged before: rebuilding it");
            for number in numbers.drain(..) {
                remove(root, number)?;
            }
            fs::remove_file(&marker).map_err(Error::io("cannot remove", &marker))?;
        }
        let failure = Failure::default();
        let mut found = None;
        let next = numbers.last().map_or(1, |last| last + 1);
        while let Some(number) = numbers.pop() {
            if found.is_none() {
                match Generation::open_complete(root, number, bounds, &failure) {
                    Ok(generation) => {
                        found = Some(generation);
                        continue;
                    }
                    Err(error @ Error::Folder { .. }) => return Err(error),
                    Err(error) => {
                        tracing::warn!(%error, number, "dropping a state that cannot be opened");
                    }
                }
            }
            remove(root, number)?;
        }
        let generation = match found {
            Some(generation) => generation,
            None => {
                let generation = Generation::open(root, next, bounds, &failure)?;
                generation.write(BTreeMap::new(), &Progress::default(), true)?;
                generation
            }
        };
        Ok(Self {
            root: root.to_owned(),
            bounds,
            current: RwLock::new(Arc::new(generation)),
            failure,
        })
    }

    /// The present state.
    pub(crate) fn view(&self) -> View {
        View::new(Arc::clone(&self.current.read()))
    }

    /// How far the present state has come.
    pub(crate) fn progress(&self) -> Result<Progress> {
        self.view()
            .progress()
            .map_err(|error| Error::Engine(error.to_string()))
    }

    /// Applies `ops` in order and moves to `progress`, all at once. Blocks.
    pub(crate) fn write(
        &self,
        ops: impl IntoIterator<Item = Op>,
        progress: &Progress,
        members_changed: bool,
    ) -> Result<()> {
        let generation = Arc::clone(&self.current.read());
        let writes = generation.resolve(ops)?;
        generation.write(writes, progress, members_changed)
    }

    /// Replaces the state by `pairs`. Views of the old state stay readable. Blocks.
    pub(crate) fn replace(
        &self,
        pairs: impl Iterator<Item = Result<Pair>>,
        progress: &Progress,
    ) -> Result<()> {
        let number = self.current.read().folder.number + 1;
        remove(&self.root, number)?;
        let generation = Generation::open(&self.root, number, self.bounds, &self.failure)?;
        let mut batch = generation.db.batch();
        let mut size = 0;
        for pair in pairs {
            let (key, value) = pair?;
            size += key.len() + value.len();
            batch.insert(generation.space(&key), key, value);
            if size >= FILL_BYTES {
                batch.commit().map_err(engine)?;
                batch = generation.db.batch();
                size = 0;
            }
        }
        batch.commit().map_err(engine)?;
        generation.write(BTreeMap::new(), progress, true)?;
        generation.persist()?;
        let old = std::mem::replace(&mut *self.current.write(), Arc::new(generation));
        // Its files go when the last view of it does.
        old.folder.replaced.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Makes the state durable, so that the next start has less to replay. Blocks.
    pub(crate) fn persist(&self) -> Result<()> {
        self.current.read().persist()
    }

    /// BLAKE3 over all pairs in order: equal on replicas that applied the same. Blocks.
    pub(crate) fn hash(view: &View) -> postrider_kv::Result<[u8; 32]> {
        let mut hasher = blake3::Hasher::new();
        for pair in view.pairs() {
            let (key, value) = pair?;
            for bytes in [key, value] {
                hasher.update(&(bytes.len() as u64).to_le_bytes());
                hasher.update(&bytes);
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }

    /// What was found damaged, or could not be read or written. The state is
    /// rebuilt at the next start, which should be soon: until then commands and
    /// queries fail over and over.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.get().cloned()
    }

    /// Bytes on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.current.read().db.disk_space().unwrap_or(0)
    }
}
