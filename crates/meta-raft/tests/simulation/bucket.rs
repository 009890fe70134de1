//! The bucket that two nodes share: a store in memory that is slow, out of order or
//! out of reach as the seed decides, for each node by itself. What it was asked to
//! write may be written though nobody is told.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use postrider_blob::{Backend, Settings, Store};
use postrider_meta_raft::Archive;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::sleep;

use crate::world::World;

/// How the bucket is.
#[derive(Clone, Debug)]
pub(crate) struct Mood {
    pub(crate) latency: Range<Duration>,
    /// The share of requests that end with an error.
    pub(crate) errors: f64,
}

/// The bucket, as all nodes share it.
#[derive(Debug)]
pub(crate) struct Bucket {
    objects: Arc<InMemory>,
    mood: Mutex<Mood>,
    cut: Mutex<BTreeSet<u64>>,
}

pub(crate) fn well() -> Mood {
    Mood {
        latency: Duration::from_millis(1)..Duration::from_millis(12),
        errors: 0.0,
    }
}

impl Bucket {
    pub(crate) fn new() -> Self {
        Self {
            objects: Arc::new(InMemory::new()),
            mood: Mutex::new(well()),
            cut: Mutex::default(),
        }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Node `id` does not reach it any more.
    pub(crate) fn cut(&self, id: u64) {
        self.cut.lock().unwrap().insert(id);
    }

    /// All reach it.
    pub(crate) fn heal(&self) {
        self.cut.lock().unwrap().clear();
    }
}

/// The archive of a node that begins to live.
pub(crate) fn archive(world: &World, id: u64) -> Option<Archive> {
    let bucket = Arc::clone(world.bucket.as_ref()?);
    let way = Way {
        bucket,
        id,
        dice: Mutex::new(world.dice(1000 * (id + 1) + world.moment())),
    };
    let backend = Backend {
        objects: Arc::new(way),
        parts: None,
        prefix: String::new(),
        folder: None,
    };
    let settings = Settings {
        attempt_timeout: Duration::from_secs(2),
        deadline: Duration::from_secs(5),
        ..Settings::default()
    };
    Some(Archive::new(Store::over(backend, &settings), "snapshots/1"))
}

/// A node's way to the bucket.
#[derive(Debug)]
struct Way {
    bucket: Arc<Bucket>,
    id: u64,
    dice: Mutex<StdRng>,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bucket")
    }
}

fn failed() -> Error {
    Error::Generic {
        store: "bucket",
        source: "503 slow down".into(),
    }
}

impl Way {
    /// Takes one way, there or back. Does not end where the node is cut off.
    async fn travel(&self) {
        let time = {
            let mood = self.bucket.mood.lock().unwrap();
            let (least, most) = (mood.latency.start, mood.latency.end);
            self.dice.lock().unwrap().random_range(least..most)
        };
        sleep(time / 2).await;
        let cut = self.bucket.cut.lock().unwrap().contains(&self.id);
        if cut {
            std::future::pending::<()>().await;
        }
    }

    fn fails(&self) -> bool {
        let errors = self.bucket.mood.lock().unwrap().errors;
        self.dice.lock().unwrap().random_bool(errors)
    }

    /// A request, which may fail before it is done or after it.
    async fn ask<T>(&self, done: impl Future<Output = Result<T>>) -> Result<T> {
        self.travel().await;
        if self.fails() {
            return Err(failed());
        }
        let done = done.await;
        let lost = self.fails();
        self.travel().await;
        if lost { Err(failed()) } else { done }
    }
}

#[async_trait::async_trait]
impl ObjectStore for Way {
    async fn put_opts(&self, at: &Path, data: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.ask(self.bucket.objects.put_opts(at, data, how)).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.ask(self.bucket.objects.put_multipart_opts(at, how))
            .await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.ask(self.bucket.objects.get_opts(at, how)).await
    }

    fn delete_stream(
        &self,
        all: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.bucket.objects.delete_stream(all)
    }

    fn list(&self, below: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.bucket.objects.list(below)
    }

    async fn list_with_delimiter(&self, below: Option<&Path>) -> Result<ListResult> {
        self.bucket.objects.list_with_delimiter(below).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.ask(self.bucket.objects.copy_opts(from, to, how)).await
    }
}
