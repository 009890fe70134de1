//! The state on disk: what the Raft log has built up so far, in fjall.
//!
//! Nothing here is the only copy: log and newest snapshot rebuild it. So writes
//! are not synced, and a state that looks damaged is dropped whole. Each state
//! lies in a folder of its own, a generation; a received snapshot becomes a new
//! generation that takes the place of the old one when it is complete.

mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use parking_lot::RwLock;
use postrider_kv::{Op, Pair};

pub(crate) use self::view::View;
use crate::error::{Error, Result};
use crate::raft::{LogId, StoredMembership, log_id, term};

const PROGRESS: &str = "progress";
const MEMBERSHIP: &str = "membership";
/// Its presence tells the next start to drop the state.
const DISTRUSTED: &str = "distrusted";
/// Pairs of a snapshot are written in batches of this many bytes.
const FILL_BYTES: usize = 4 << 20;

/// Bounds of the engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of the block cache.
    pub(crate) cache_bytes: u64,
    /// Bytes of writes in memory before they are flushed.
    pub(crate) buffer_bytes: u64,
    /// Bytes of the engine's own journal, at least 64 MiB.
    pub(crate) journal_bytes: u64,
}

/// How far a state has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The last entry applied.
    pub(crate) applied: Option<LogId>,
    /// The index of the last batch applied; 0 for none.
    pub(crate) batch: u64,
    /// The members.
    pub(crate) membership: StoredMembership,
}

impl Progress {
    fn encode(&self) -> [u8; 25] {
        let mut out = [0; 25];
        out[0] = u8::from(self.applied.is_some());
        let (term, index) = self.applied.map_or((0, 0), |id| (term(&id), id.index));
        for (at, number) in [term, index, self.batch].into_iter().enumerate() {
            out[1 + 8 * at..9 + 8 * at].copy_from_slice(&number.to_le_bytes());
        }
        out
    }

    fn decode(
        progress: Option<Bytes>,
        membership: Option<Bytes>,
    ) -> std::result::Result<Self, &'static str> {
        let bytes = progress.ok_or("the state is not complete")?;
        let bytes: [u8; 25] = bytes[..].try_into().map_err(|_| "damaged progress row")?;
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[1 + 8 * at..9 + 8 * at]);
            u64::from_le_bytes(number)
        };
        let membership = match membership {
            Some(row) => rmp_serde::from_slice(&row).map_err(|_| "damaged membership row")?,
            None => StoredMembership::default(),
        };
        Ok(Self {
            applied: (bytes[0] != 0).then(|| log_id(number(0), number(1))),
            batch: number(2),
            membership,
        })
    }
}

/// The state engine.
pub(crate) struct Engine {
    root: PathBuf,
    bounds: Bounds,
    current: RwLock<Arc<Generation>>,
    failure: Failure,
}

/// Why a state is not to be trusted any more, once that is so.
type Failure = Arc<OnceLock<String>>;

/// One state on disk.
struct Generation {
    db: Database,
    data: Keyspace,
    facts: Keyspace,
    failure: Failure,
    /// After what has files in it: it may be removed when it is dropped.
    folder: Folder,
}

/// Where a generation lies.
struct Folder {
    root: PathBuf,
    number: u64,
    /// Another generation has taken its place: it goes with its last view.
    replaced: AtomicBool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.replaced.load(Ordering::Relaxed)
            && let Err(error) = remove(&self.root, self.number)
        {
            tracing::warn!(%error, "an old state is left until the next start");
        }
    }
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
            batch.insert(&generation.data, key, value);
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

impl Generation {
    fn open(root: &Path, number: u64, bounds: Bounds, failure: &Failure) -> Result<Self> {
        let path = folder(root, number);
        let open = || -> fjall::Result<Self> {
            let db = Database::builder(&path)
                .cache_size(bounds.cache_bytes)
                .max_journaling_size(bounds.journal_bytes)
                .manual_journal_persist(true)
                .journal_compression(CompressionType::None)
                // Of several, the first asks the queue again and again for work
                // while the others compact, and takes a core with it.
                .worker_threads(1)
                .open()?;
            let options = || {
                KeyspaceCreateOptions::default()
                    .manual_journal_persist(true)
                    .max_memtable_size(bounds.buffer_bytes)
            };
            let data = db.keyspace("data", options)?;
            let facts = db.keyspace("facts", options)?;
            Ok(Self {
                db,
                data,
                facts,
                failure: Arc::clone(failure),
                folder: Folder {
                    root: root.to_owned(),
                    number,
                    replaced: AtomicBool::new(false),
                },
            })
        };
        // The engine may panic over damaged files; that too only means to rebuild.
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Err(fjall::Error::Locked)) => Err(Error::Folder {
                path,
                reason: "the state is in use; end the other process first".into(),
            }),
            Ok(opened) => opened.map_err(engine),
            Err(_) => Err(Error::Engine("it panicked while opening".into())),
        }
    }

    /// Opens a generation that was completed.
    fn open_complete(root: &Path, number: u64, bounds: Bounds, failure: &Failure) -> Result<Self> {
        let generation = Self::open(root, number, bounds, failure)?;
        let generation = Arc::new(generation);
        View::new(Arc::clone(&generation))
            .progress()
            .map_err(|error| Error::Engine(error.to_string()))?;
        Arc::try_unwrap(generation).map_err(|_| Error::Engine("still in use".into()))
    }

    /// What `ops` come to, key by key: later ones win, ranges are spelled out.
    fn resolve(&self, ops: impl IntoIterator<Item = Op>) -> Result<BTreeMap<Bytes, Option<Bytes>>> {
        let mut writes = BTreeMap::new();
        for op in ops {
            match op {
                Op::Put { key, value } => {
                    writes.insert(key, Some(value));
                }
                Op::Delete { key } => {
                    writes.insert(key, None);
                }
                Op::DeleteRange { start, end } if start < end => {
                    let bounds = (Bound::Included(&start), Bound::Excluded(&end));
                    for (_, value) in writes.range_mut::<Bytes, _>(bounds) {
                        *value = None;
                    }
                    for guard in self.data.range::<&[u8], _>(&start[..]..&end[..]) {
                        let key = guard.key().map_err(|error| {
                            self.distrust(&error);
                            engine(error)
                        })?;
                        writes.insert(key.into(), None);
                    }
                }
                Op::DeleteRange { .. } => {}
            }
        }
        Ok(writes)
    }

    fn write(
        &self,
        writes: BTreeMap<Bytes, Option<Bytes>>,
        progress: &Progress,
        members_changed: bool,
    ) -> Result<()> {
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.db.clone(), writes.len() + 2);
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(&self.data, key, value),
                None => batch.remove(&self.data, key),
            }
        }
        batch.insert(&self.facts, PROGRESS, &progress.encode()[..]);
        if members_changed {
            let row = rmp_serde::to_vec_named(&progress.membership)
                .map_err(|error| Error::Engine(error.to_string()))?;
            batch.insert(&self.facts, MEMBERSHIP, row);
        }
        batch.commit().map_err(|error| {
            self.distrust(&error);
            engine(error)
        })
    }

    fn persist(&self) -> Result<()> {
        self.db.persist(PersistMode::SyncAll).map_err(engine)
    }

    /// Makes the next start rebuild the state, and tells that it is time for one.
    fn distrust(&self, error: &fjall::Error) {
        let reason = format!("the state engine failed; the next start rebuilds the state: {error}");
        if self.failure.set(reason).is_err() {
            return;
        }
        tracing::error!(%error, "the state engine failed; the state is rebuilt at the next start");
        let marker = self.folder.root.join(DISTRUSTED);
        if let Err(error) = fs::write(&marker, error.to_string()) {
            tracing::error!(path = %marker.display(), %error, "cannot mark the state as damaged");
        }
    }
}

fn engine(error: fjall::Error) -> Error {
    Error::Engine(error.to_string())
}

fn folder(root: &Path, number: u64) -> PathBuf {
    root.join(format!("{number:08}"))
}

/// The numbers of all generations, ascending.
fn generations(root: &Path) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for item in fs::read_dir(root).map_err(Error::io("cannot list", root))? {
        let item = item.map_err(Error::io("cannot list", root))?;
        if let Some(number) = item.file_name().to_str().and_then(|name| name.parse().ok()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn remove(root: &Path, number: u64) -> Result<()> {
    let path = folder(root, number);
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove", &path)(error))
        }
        _ => Ok(()),
    }
}
