//! A store in memory that holds up some of what would change it until it may go on, as a
//! slow bucket does, or the pause between two tries.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Semaphore;

/// A way to a store; its clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Slow {
    objects: Arc<InMemory>,
    /// Puts and deletions of keys with this in them wait.
    part: &'static str,
    go: Arc<Semaphore>,
    held: Arc<Semaphore>,
}

impl Slow {
    pub(super) fn new(objects: Arc<InMemory>, part: &'static str) -> Self {
        Self {
            objects,
            part,
            go: Arc::new(Semaphore::new(0)),
            held: Arc::new(Semaphore::new(0)),
        }
    }

    /// Is ready once one more request is held up.
    pub(super) async fn holds_one(&self) {
        self.held.acquire().await.unwrap().forget();
    }

    /// Lets one request go on.
    pub(super) fn let_one_pass(&self) {
        self.go.add_permits(1);
    }

    /// Lets all go on from now on.
    pub(super) fn let_all_pass(&self) {
        self.go.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    async fn hold(&self) {
        self.held.add_permits(1);
        self.go.acquire().await.unwrap().forget();
    }
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a slow store in memory")
    }
}

#[async_trait]
impl ObjectStore for Slow {
    async fn put_opts(&self, at: &Path, data: PutPayload, how: PutOptions) -> Result<PutResult> {
        if at.as_ref().contains(self.part) {
            self.hold().await;
        }
        self.objects.put_opts(at, data, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.objects.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        all: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let slow = self.clone();
        let held = all.then(move |at| {
            let slow = slow.clone();
            async move {
                if at.as_ref().is_ok_and(|at| at.as_ref().contains(slow.part)) {
                    slow.hold().await;
                }
                at
            }
        });
        self.objects.delete_stream(held.boxed())
    }

    fn list(&self, below: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(below)
    }

    async fn list_with_delimiter(&self, below: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(below).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, how).await
    }
}
