//! A bucket in memory that counts what it is asked about the vote. It may be away, and
//! can become one without conditional PUT.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use postrider_blob::{Backend, Store};
use postrider_meta_raft::Archive;

/// A bucket; its clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    objects: InMemory,
    /// Objects of the vote that were written.
    votes: AtomicU64,
    /// Times that such objects were read.
    looks: AtomicU64,
    overlooks: AtomicBool,
    /// Nothing gets there.
    away: AtomicBool,
}

impl Bucket {
    /// A cluster's archive in it.
    pub(crate) fn archive(&self) -> Archive {
        let backend = Backend {
            objects: Arc::new(self.clone()),
            parts: None,
            prefix: String::new(),
            folder: None,
        };
        let store = Store::over(backend, &postrider_blob::Settings::default());
        Archive::new(store, "1234")
    }

    /// From now on every request fails, or none does.
    pub(crate) fn set_away(&self, away: bool) {
        self.0.away.store(away, Ordering::SeqCst);
    }

    fn check(&self) -> Result<()> {
        match self.0.away.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(Error::Generic {
                store: "bucket",
                source: "503 slow down".into(),
            }),
        }
    }

    /// How many objects of the vote were written and read so far.
    pub(crate) fn votes(&self) -> (u64, u64) {
        let count = |number: &AtomicU64| number.load(Ordering::SeqCst);
        (count(&self.0.votes), count(&self.0.looks))
    }

    /// Takes every PUT from now on, whatever its condition, as Garage does.
    pub(crate) fn overlook_conditions(&self) {
        self.0.overlooks.store(true, Ordering::SeqCst);
    }
}

fn is_of_vote(at: &Path) -> bool {
    at.as_ref().starts_with("vote/")
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a bucket in memory")
    }
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put_opts(
        &self,
        at: &Path,
        data: PutPayload,
        mut how: PutOptions,
    ) -> Result<PutResult> {
        self.check()?;
        if self.0.overlooks.load(Ordering::SeqCst) {
            how.mode = PutMode::Overwrite;
        }
        if is_of_vote(at) {
            self.0.votes.fetch_add(1, Ordering::SeqCst);
        }
        self.0.objects.put_opts(at, data, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.check()?;
        self.0.objects.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.check()?;
        if is_of_vote(at) {
            self.0.looks.fetch_add(1, Ordering::SeqCst);
        }
        self.0.objects.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        all: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.objects.delete_stream(all)
    }

    fn list(&self, below: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.check() {
            Ok(()) => self.0.objects.list(below),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, below: Option<&Path>) -> Result<ListResult> {
        self.check()?;
        self.0.objects.list_with_delimiter(below).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.0.objects.copy_opts(from, to, how).await
    }
}
