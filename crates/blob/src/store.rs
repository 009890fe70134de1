//! The object store as the rest of Postrider sees it.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use metrics::{Counter, counter};
use object_store::local::LocalFileSystem;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use postrider_types::Millis;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::cache::Cache;
use crate::health::{Health, Side};
use crate::memory::Memory;
use crate::request::{Op, Patience, attempt, run};
use crate::{Error, Settings, Upload, remnants};

/// The object that probes write. No sweep looks at it.
const PROBE: &str = "probe/health";

/// Where requests go.
#[derive(Clone)]
pub struct Backend {
    /// The store.
    pub objects: Arc<dyn ObjectStore>,
    /// The same store, if single parts of an upload can be sent again (S3).
    pub parts: Option<Arc<dyn MultipartStore>>,
    /// What all keys begin with; empty for none.
    pub prefix: String,
    /// The folder, if objects are files: see [`Store::remove_remnants`].
    pub folder: Option<PathBuf>,
}

/// An object that [`Store::list`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
    /// When it was written, by the store's clock.
    pub modified: Millis,
}

/// A store of write-once objects. Keys are ASCII letters, digits, `-`, `.` and
/// `/`; no key is a prefix of another and none is used twice: what was read once
/// stays true, so that reads are cached.
pub struct Store {
    pub(crate) backend: Backend,
    pub(crate) part_size: usize,
    pub(crate) upload_memory: Arc<Memory>,
    health: Arc<Health>,
    patience: Patience,
    cache: Cache,
    read: Counter,
    pub(crate) written: Counter,
    probing: JoinHandle<()>,
}

impl Drop for Store {
    fn drop(&mut self) {
        self.probing.abort();
    }
}

impl Store {
    /// Opens the store that `settings` name. Needs a Tokio runtime. Makes no
    /// request: whether the bucket answers, [`Store::probe`] tells.
    pub fn open(settings: &Settings) -> Result<Arc<Self>, Error> {
        settings.check().map_err(Error::Invalid)?;
        let backend = if let Some(s3) = &settings.s3 {
            let client = Arc::new(s3.client(settings)?);
            Backend {
                objects: client.clone(),
                parts: Some(client),
                prefix: s3.prefix.trim_matches('/').into(),
                folder: None,
            }
        } else {
            let folder = settings
                .folder
                .as_deref()
                .unwrap_or(std::path::Path::new("."));
            let unusable = |e: &dyn std::fmt::Display| {
                Error::Invalid(format!("blob.folder {}: {e}", folder.display()))
            };
            std::fs::create_dir_all(folder).map_err(|e| unusable(&e))?;
            // Every file and every folder entry is synced before a put returns.
            let files = LocalFileSystem::new_with_prefix(folder)
                .map_err(|e| unusable(&e))?
                .with_fsync(true);
            Backend {
                objects: Arc::new(files),
                parts: None,
                prefix: String::new(),
                folder: Some(folder.to_owned()),
            }
        };
        Ok(Self::over(backend, settings))
    }

    /// A store that keeps nothing beyond this process: for a node that has no part in
    /// objects. Needs a Tokio runtime.
    pub fn nowhere(settings: &Settings) -> Arc<Self> {
        let backend = Backend {
            objects: Arc::new(object_store::memory::InMemory::new()),
            parts: None,
            prefix: String::new(),
            folder: None,
        };
        Self::over(backend, settings)
    }

    /// A store over any backend. Needs a Tokio runtime.
    pub fn over(backend: Backend, settings: &Settings) -> Arc<Self> {
        let health = Arc::new(Health::default());
        health.publish();
        let pause = settings.probe_pause;
        let patience = Patience::of(settings);
        let probing = tokio::spawn(keep_probing(
            backend.clone(),
            health.clone(),
            patience,
            pause,
        ));
        Arc::new(Self {
            backend,
            part_size: usize::try_from(settings.part_size).unwrap_or(8 << 20),
            upload_memory: Memory::new(settings),
            health,
            patience,
            cache: Cache::new(settings.cache_size),
            read: counter!("postrider_blob_bytes_total", "direction" => "read"),
            written: counter!("postrider_blob_bytes_total", "direction" => "written"),
            probing,
        })
    }

    /// Whether the store takes and gives objects, as far as is known.
    pub fn available(&self) -> bool {
        self.readable() && self.writable()
    }

    /// Whether reads are answered, as far as is known.
    pub fn readable(&self) -> bool {
        self.health.is_up(Side::Read)
    }

    /// Whether writes are taken, as far as is known.
    pub fn writable(&self) -> bool {
        self.health.is_up(Side::Write)
    }

    /// Asks the store now: one small write and one read.
    pub async fn probe(&self) -> Result<(), Error> {
        probe(&self.backend, &self.health, self.patience).await
    }

    /// Puts a small object; durable on return. May be called again for the same
    /// key with the same bytes.
    pub async fn put(&self, key: &str, parts: Vec<Bytes>) -> Result<(), Error> {
        self.put_mode(key, parts, PutMode::Overwrite).await
    }

    /// Puts a small object unless one is there: [`Error::Exists`].
    pub async fn create(&self, key: &str, parts: Vec<Bytes>) -> Result<(), Error> {
        self.put_mode(key, parts, PutMode::Create).await
    }

    async fn put_mode(&self, key: &str, parts: Vec<Bytes>, mode: PutMode) -> Result<(), Error> {
        let path = self.backend.path(key)?;
        let payload: PutPayload = parts.into_iter().collect();
        let length = payload.content_length() as u64;
        self.run(Op::Put, key, || {
            let options = PutOptions {
                mode: mode.clone(),
                ..PutOptions::default()
            };
            self.backend
                .objects
                .put_opts(&path, payload.clone(), options)
        })
        .await
        .map_err(no_bucket)?;
        self.written.increment(length);
        Ok(())
    }

    /// Begins a large object.
    pub fn upload(self: &Arc<Self>, key: &str) -> Result<Upload, Error> {
        Ok(Upload::new(self.clone(), key, self.backend.path(key)?))
    }

    /// The bytes of `range`, through the cache. [`Error::Short`] where the object
    /// ends before.
    pub async fn get(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        let mut all = self.get_ranges(key, std::slice::from_ref(&range)).await?;
        Ok(all.pop().unwrap_or_default())
    }

    /// The bytes of each of `ranges`, in their order, through the cache:
    /// neighbours come in one request.
    pub async fn get_ranges(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let path = self.backend.path(key)?;
        self.cache
            .get(key, ranges, |range| self.fetch(key, &path, range))
            .await
    }

    /// The bytes of `range`, past the cache: for whoever reads an object once.
    pub async fn get_once(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        let path = self.backend.path(key)?;
        let length = range.end.saturating_sub(range.start);
        let bytes = self.fetch(key, &path, range).await?;
        if (bytes.len() as u64) < length {
            return Err(Error::Short(key.into()));
        }
        Ok(bytes)
    }

    /// One range request; its answer is cut at the object's end.
    async fn fetch(&self, key: &str, path: &Path, range: Range<u64>) -> Result<Bytes, Error> {
        let bytes = self
            .run(Op::Get, key, || async {
                let options = GetOptions {
                    range: Some(GetRange::Bounded(range.clone())),
                    ..GetOptions::default()
                };
                self.backend
                    .objects
                    .get_opts(path, options)
                    .await?
                    .bytes()
                    .await
            })
            .await?;
        self.read.increment(bytes.len() as u64);
        Ok(bytes)
    }

    /// The length of an object in bytes.
    pub async fn size(&self, key: &str) -> Result<u64, Error> {
        let path = self.backend.path(key)?;
        let found = self
            .run(Op::Head, key, || self.backend.objects.head(&path))
            .await?;
        Ok(found.size)
    }

    /// Removes an object, present or not. Cached chunks of it stay until they are
    /// pushed out: keys are never used again.
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        let path = self.backend.path(key)?;
        match self
            .run(Op::Delete, key, || self.backend.objects.delete(&path))
            .await
        {
            Ok(()) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// All objects whose keys begin with `folder` and a `/`, in no order. Ends at
    /// the first error; begin anew later.
    pub fn list(&self, folder: &str) -> BoxStream<'static, Result<Listed, Error>> {
        let path = match self.backend.path(folder) {
            Ok(path) => path,
            Err(error) => return futures::stream::once(async { Err(error) }).boxed(),
        };
        let skip = match self.backend.prefix.len() {
            0 => 0,
            n => n + 1,
        };
        let health = self.health.clone();
        let limit = self.patience;
        let listing = self.backend.objects.list(Some(&path));
        // Each page under the limits of one attempt.
        futures::stream::try_unfold(listing, move |mut listing| {
            let (health, folder) = (health.clone(), String::from(path.as_ref()));
            async move {
                let next = limit.first(Op::List, &folder, listing.try_next()).await;
                match next {
                    Ok(found) => {
                        health.succeeded(Side::Read);
                        Ok(found.map(|found| {
                            let key = found.location.as_ref().get(skip..).unwrap_or_default();
                            let listed = Listed {
                                key: key.into(),
                                size: found.size,
                                modified: Millis(
                                    u64::try_from(found.last_modified.timestamp_millis())
                                        .unwrap_or(0),
                                ),
                            };
                            (listed, listing)
                        }))
                    }
                    Err(error) => Err(error),
                }
            }
        })
        .boxed()
    }

    /// Removes the files that writers left half written when their process died,
    /// last touched before `before`. How many. In a bucket that is the business of
    /// its rule for incomplete multipart uploads.
    pub async fn remove_remnants(&self, before: Millis) -> Result<u64, Error> {
        let Some(folder) = self.backend.folder.clone() else {
            return Ok(0);
        };
        tokio::task::spawn_blocking(move || remnants::remove(&folder, before))
            .await
            .map_err(|e| Error::Unavailable(e.to_string()))?
            .map_err(|e| Error::Unavailable(e.to_string()))
    }

    /// Runs a request with retries, by this store's patience and health.
    pub(crate) async fn run<T, F>(
        &self,
        op: Op,
        key: &str,
        make: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        run(&self.health, self.patience, op, key, make).await
    }
}

impl Backend {
    /// The path of the object `key`.
    pub(crate) fn path(&self, key: &str) -> Result<Path, Error> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"-./_".contains(&b);
        if key.is_empty() || !key.bytes().all(fine) {
            return Err(Error::Invalid(format!("{key:?} cannot name an object")));
        }
        let whole = if self.prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{}/{key}", self.prefix)
        };
        Path::parse(whole)
            .map_err(|e| Error::Invalid(format!("{key:?} cannot name an object: {e}")))
    }
}

/// A put cannot miss its object: what is missing is the bucket.
fn no_bucket(error: Error) -> Error {
    match error {
        Error::NotFound(_) => Error::Unavailable("the bucket or folder does not exist".into()),
        other => other,
    }
}

/// One small write and one read, each a single attempt that decides its circuit.
async fn probe(backend: &Backend, health: &Health, patience: Patience) -> Result<(), Error> {
    let path = backend.path(PROBE)?;
    let payload = PutPayload::from_static(b"Postrider was here.\n");
    let decide = |side, result: Result<(), Error>| {
        match &result {
            Err(error) if error.is_transient() => health.failed(side, error),
            _ => health.succeeded(side),
        }
        result
    };
    let put = backend
        .objects
        .put_opts(&path, payload, PutOptions::default());
    let written = patience
        .first(Op::Put, PROBE, put)
        .await
        .map(drop)
        .map_err(no_bucket);
    let written = decide(Side::Write, written);
    let head = backend.objects.head(&path);
    let read = patience.first(Op::Head, PROBE, head).await.map(drop);
    let read = decide(Side::Read, read);
    written.and(match read {
        // The write failed before: then there is nothing to read.
        Err(Error::NotFound(_)) => Ok(()),
        other => other,
    })
}

/// Probes the store for as long as a circuit is open.
async fn keep_probing(backend: Backend, health: Arc<Health>, patience: Patience, pause: Duration) {
    loop {
        health.opened.notified().await;
        while !health.is_up(Side::Read) || !health.is_up(Side::Write) {
            sleep(pause).await;
            if let Err(error) = probe(&backend, &health, patience).await {
                tracing::debug!(%error, "the object store is still away");
            }
        }
    }
}

impl Patience {
    /// A single attempt.
    pub(crate) async fn first<T>(
        &self,
        op: Op,
        key: &str,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Error> {
        let limit = self.attempt_limit();
        attempt(limit, Instant::now() + limit, op, key, request).await
    }
}
