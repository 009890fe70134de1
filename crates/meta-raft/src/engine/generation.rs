//! One state on disk: a folder with the engine's database, whose keyspaces hold the
//! pairs and how far they have come. Goes with its last view once another has taken
//! its place. Decides nothing about which state counts.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use postrider_kv::Op;

use super::space::{self, Space};
use super::{Bounds, Progress, View};
use crate::error::{Error, Result};

/// The keyspace of how far the state has come. Of another name in each layout of the
/// keyspaces: a state of another layout is not complete then, and is rebuilt.
const FACTS: &str = "facts2";
pub(super) const PROGRESS: &str = "progress";
pub(super) const MEMBERSHIP: &str = "membership";
/// Its presence tells the next start to drop the state.
pub(super) const DISTRUSTED: &str = "distrusted";

/// Why a state is not to be trusted any more, once that is so.
pub(super) type Failure = Arc<OnceLock<String>>;

/// One state on disk.
pub(super) struct Generation {
    pub(super) db: Database,
    /// The state, in the order of [`space::NAMES`].
    pub(super) spaces: [Keyspace; space::NAMES.len()],
    pub(super) facts: Keyspace,
    pub(super) failure: Failure,
    /// After what has files in it: it may be removed when it is dropped.
    pub(super) folder: Folder,
}

/// Where a generation lies.
pub(super) struct Folder {
    pub(super) root: PathBuf,
    pub(super) number: u64,
    /// Another generation has taken its place: it goes with its last view.
    pub(super) replaced: AtomicBool,
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

impl Generation {
    pub(super) fn open(
        root: &Path,
        number: u64,
        bounds: Bounds,
        failure: &Failure,
    ) -> Result<Self> {
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
            let [data, inline, queue] = space::NAMES;
            let spaces = [
                db.keyspace(data, options)?,
                db.keyspace(inline, options)?,
                db.keyspace(queue, options)?,
            ];
            let facts = db.keyspace(FACTS, options)?;
            Ok(Self {
                db,
                spaces,
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
    pub(super) fn open_complete(
        root: &Path,
        number: u64,
        bounds: Bounds,
        failure: &Failure,
    ) -> Result<Self> {
        let generation = Self::open(root, number, bounds, failure)?;
        let generation = Arc::new(generation);
        View::new(Arc::clone(&generation))
            .progress()
            .map_err(|error| Error::Engine(error.to_string()))?;
        Arc::try_unwrap(generation).map_err(|_| Error::Engine("still in use".into()))
    }

    /// The keyspace of `key`.
    pub(super) fn space(&self, key: &[u8]) -> &Keyspace {
        &self.spaces[Space::of(key).index()]
    }

    /// What `ops` come to, key by key: later ones win, ranges are spelled out.
    pub(super) fn resolve(
        &self,
        ops: impl IntoIterator<Item = Op>,
    ) -> Result<BTreeMap<Bytes, Option<Bytes>>> {
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
                    let pieces = space::pieces(&start, Some(&end));
                    for guard in pieces.flat_map(|(space, bounds)| {
                        self.spaces[space.index()].range::<&[u8], _>(bounds)
                    }) {
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

    pub(super) fn write(
        &self,
        writes: BTreeMap<Bytes, Option<Bytes>>,
        progress: &Progress,
        members_changed: bool,
    ) -> Result<()> {
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.db.clone(), writes.len() + 2);
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(self.space(&key), key, value),
                None => batch.remove(self.space(&key), key),
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

    pub(super) fn persist(&self) -> Result<()> {
        self.db.persist(PersistMode::SyncAll).map_err(engine)
    }

    /// Makes the next start rebuild the state, and tells that it is time for one.
    pub(super) fn distrust(&self, error: &fjall::Error) {
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

pub(super) fn engine(error: fjall::Error) -> Error {
    Error::Engine(error.to_string())
}

fn folder(root: &Path, number: u64) -> PathBuf {
    root.join(format!("{number:08}"))
}

/// The numbers of all generations, ascending.
pub(super) fn generations(root: &Path) -> Result<Vec<u64>> {
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

pub(super) fn remove(root: &Path, number: u64) -> Result<()> {
    let path = folder(root, number);
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove", &path)(error))
        }
        _ => Ok(()),
    }
}
