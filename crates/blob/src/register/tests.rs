//! Registers over stores that have conditional PUTs, and that only seem to.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as Stored,
};
use tokio::task::yield_now;

use super::*;
use crate::{Backend, Settings};

const LIMIT: Duration = Duration::from_secs(5);

fn over(objects: Arc<dyn ObjectStore>) -> Arc<Store> {
    let backend = Backend {
        objects,
        parts: None,
        prefix: String::new(),
        folder: None,
    };
    Store::over(backend, &Settings::default())
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It overlooks every condition.
    Overlooks,
    /// It knows whether a key is there, but no versions.
    OverlooksVersions,
    /// It looks first and writes then.
    LooksBefore,
}

/// A store in memory with a fault.
#[derive(Debug)]
struct Faulty(InMemory, Fault);

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.1)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, data: PutPayload, how: PutOptions) -> Stored<PutResult> {
        let overlooked = match (self.1, &how.mode) {
            (Fault::Overlooks, _) | (Fault::OverlooksVersions, PutMode::Update(_)) => true,
            (Fault::OverlooksVersions, _) => false,
            (Fault::LooksBefore, PutMode::Create) => {
                let there = self.0.get_opts(at, GetOptions::default()).await.is_ok();
                yield_now().await;
                !there
            }
            (Fault::LooksBefore, _) => false,
        };
        let how = match overlooked {
            true => PutOptions::default(),
            false => how,
        };
        self.0.put_opts(at, data, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Stored<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Stored<GetResult> {
        self.0.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        all: BoxStream<'static, Stored<Path>>,
    ) -> BoxStream<'static, Stored<Path>> {
        self.0.delete_stream(all)
    }

    fn list(&self, below: Option<&Path>) -> BoxStream<'static, Stored<ObjectMeta>> {
        self.0.list(below)
    }

    async fn list_with_delimiter(&self, below: Option<&Path>) -> Stored<ListResult> {
        self.0.list_with_delimiter(below).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Stored<()> {
        self.0.copy_opts(from, to, how).await
    }
}

#[tokio::test]
async fn a_register_changes_only_from_the_version_that_was_read() {
    let store = over(Arc::new(InMemory::new()));
    assert!(store.read_register("r/1", LIMIT).await.unwrap().is_none());
    let write = |value: &'static str, over: Option<Version>| {
        let store = store.clone();
        async move {
            let value = Bytes::from_static(value.as_bytes());
            store
                .write_register("r/1", value, over.as_ref(), LIMIT)
                .await
        }
    };
    let first = write("a", None).await.unwrap();
    assert!(matches!(write("b", None).await, Err(Error::Exists(_))));
    let second = write("c", Some(first.clone())).await.unwrap();
    assert!(matches!(
        write("d", Some(first)).await,
        Err(Error::Exists(_))
    ));
    let (value, version) = store.read_register("r/1", LIMIT).await.unwrap().unwrap();
    assert_eq!((&value[..], version), (&b"c"[..], second.clone()));
    store.delete("r/1").await.unwrap();
    assert!(matches!(
        write("e", Some(second)).await,
        Err(Error::Exists(_))
    ));
}

#[tokio::test]
async fn a_store_with_conditional_puts_is_believed() {
    let store = over(Arc::new(InMemory::new()));
    store.check_registers(LIMIT).await.unwrap();
}

#[tokio::test]
async fn stores_that_only_seem_to_have_them_are_caught() {
    for (fault, told) in [
        (Fault::Overlooks, "makes a key that is there again"),
        (Fault::OverlooksVersions, "version that is no more"),
        (
            Fault::LooksBefore,
            "lets two writers of one version through",
        ),
    ] {
        let store = over(Arc::new(Faulty(InMemory::new(), fault)));
        let error = store.check_registers(LIMIT).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{fault:?}: {error}");
        assert!(error.to_string().contains(told), "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn a_folder_has_none() {
    let dir = tempfile::TempDir::new().unwrap();
    let settings = Settings {
        folder: Some(dir.path().to_owned()),
        ..Settings::default()
    };
    let store = Store::open(&settings).unwrap();
    let error = store.check_registers(LIMIT).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
}
