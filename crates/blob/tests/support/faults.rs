//! An object store in memory that fails when told to: errors, hanging requests,
//! cut answers, lost replies, or all of it away. It also counts requests.

#![allow(
    dead_code,
    reason = "not every test that includes this file uses all of it"
)]
#![allow(unreachable_pub, reason = "a file of two test programs")]

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartId,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use postrider_blob::{Backend, Settings, Store};

/// What befalls one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered by an error.
    Status(u16),
    /// Never answered.
    Hang,
    /// Half of the bytes come, then the connection is cut (reads).
    Cut,
    /// Done, but the answer is lost.
    LostReply,
    /// One bit of the answer is flipped (reads).
    Flip,
}

#[derive(Debug, Default)]
struct State {
    away: bool,
    next: VecDeque<(&'static str, Fault)>,
    requests: Vec<String>,
}

/// The store. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    inner: Arc<InMemory>,
    state: Arc<Mutex<State>>,
}

impl Faults {
    /// Settings for tests: short times.
    pub fn settings() -> Settings {
        Settings {
            attempt_timeout: Duration::from_millis(2_000),
            deadline: Duration::from_millis(4_000),
            retry_pause: Duration::from_millis(1),
            probe_pause: Duration::from_millis(5),
            ..Settings::default()
        }
    }

    /// A [`Store`] over this one.
    pub fn store(&self, settings: &Settings) -> Arc<Store> {
        let backend = Backend {
            objects: Arc::new(self.clone()),
            parts: Some(Arc::new(self.clone())),
            prefix: String::new(),
            folder: None,
        };
        Store::over(backend, settings)
    }

    /// Lets `fault` befall the next request of the kind `op`.
    pub fn next(&self, op: &'static str, fault: Fault) {
        self.state.lock().unwrap().next.push_back((op, fault));
    }

    /// All requests fail from now on, or no longer.
    pub fn away(&self, away: bool) {
        self.state.lock().unwrap().away = away;
    }

    /// How many requests of the kind `op` came.
    pub fn count(&self, op: &str) -> usize {
        let state = self.state.lock().unwrap();
        state
            .requests
            .iter()
            .filter(|r| r.split(' ').next() == Some(op))
            .count()
    }

    /// The keys of all objects.
    pub async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self
            .inner
            .list(None)
            .map_ok(|o| o.location.to_string())
            .try_collect()
            .await
            .unwrap();
        keys.retain(|key| !key.starts_with("probe/"));
        keys.sort();
        keys
    }

    /// The bytes of an object.
    pub async fn bytes(&self, key: &str) -> Vec<u8> {
        let options = GetOptions::default();
        let got = self
            .inner
            .get_opts(&Path::from(key), options)
            .await
            .unwrap();
        got.bytes().await.unwrap().to_vec()
    }

    /// Replaces an object.
    pub async fn replace(&self, key: &str, bytes: Vec<u8>) {
        let options = PutOptions::default();
        self.inner
            .put_opts(&Path::from(key), bytes.into(), options)
            .await
            .unwrap();
    }

    async fn begin(&self, op: &'static str, key: &str) -> Result<Option<Fault>> {
        let fault = {
            let mut state = self.state.lock().unwrap();
            state.requests.push(format!("{op} {key}"));
            if state.away {
                Some(Fault::Status(503))
            } else {
                let at = state.next.iter().position(|(wanted, _)| *wanted == op);
                at.and_then(|at| state.next.remove(at))
                    .map(|(_, fault)| fault)
            }
        };
        match fault {
            Some(Fault::Status(status)) => Err(broken(&format!("status {status}"))),
            Some(Fault::Hang) => std::future::pending().await,
            other => Ok(other),
        }
    }
}

fn broken(text: &str) -> Error {
    Error::Generic {
        store: "faults",
        source: text.to_owned().into(),
    }
}

fn reply<T>(fault: Option<Fault>, value: T) -> Result<T> {
    match fault {
        Some(Fault::LostReply) => Err(broken("the reply was lost")),
        _ => Ok(value),
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faults")
    }
}

#[async_trait]
impl ObjectStore for Faults {
    async fn put_opts(&self, at: &Path, data: PutPayload, how: PutOptions) -> Result<PutResult> {
        let fault = self.begin("put", at.as_ref()).await?;
        reply(fault, self.inner.put_opts(at, data, how).await?)
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        let op = if how.head { "head" } else { "get" };
        let fault = self.begin(op, at.as_ref()).await?;
        let mut got = self.inner.get_opts(at, how).await?;
        if matches!(fault, Some(Fault::Cut | Fault::Flip)) {
            let (meta, range, attributes) =
                (got.meta.clone(), got.range.clone(), got.attributes.clone());
            let extensions = got.extensions.clone();
            let mut bytes = got.bytes().await?.to_vec();
            let payload = if fault == Some(Fault::Cut) {
                bytes.truncate(bytes.len() / 2);
                stream::iter([Ok(bytes.into()), Err(broken("cut"))]).boxed()
            } else {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 4;
                stream::iter([Ok(bytes.into())]).boxed()
            };
            let payload = GetResultPayload::Stream(payload);
            got = GetResult {
                payload,
                meta,
                range,
                attributes,
                extensions,
            };
        }
        reply(fault, got)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        locations
            .and_then(move |at| {
                let this = this.clone();
                async move {
                    let fault = this.begin("delete", at.as_ref()).await?;
                    let one = stream::once(async move { Ok(at) }).boxed();
                    let mut deleted = this.inner.delete_stream(one);
                    let at = deleted.next().await.unwrap()?;
                    reply(fault, at)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let this = self.clone();
        let found = self.inner.list(prefix);
        let begun = stream::once(async move { this.begin("list", "").await.map(|_| found) });
        begun.try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}

#[async_trait]
impl MultipartStore for Faults {
    async fn create_multipart(&self, at: &Path) -> Result<MultipartId> {
        let fault = self.begin("start", at.as_ref()).await?;
        reply(fault, self.inner.create_multipart(at).await?)
    }

    async fn put_part(
        &self,
        at: &Path,
        id: &MultipartId,
        number: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        let fault = self.begin("part", at.as_ref()).await?;
        reply(fault, self.inner.put_part(at, id, number, data).await?)
    }

    async fn complete_multipart(
        &self,
        at: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let fault = self.begin("complete", at.as_ref()).await?;
        // S3 answers NoSuchUpload, a 404, to an upload that is complete already.
        let gone = |e: Error| Error::NotFound {
            path: at.to_string(),
            source: Box::new(e),
        };
        reply(
            fault,
            self.inner
                .complete_multipart(at, id, parts)
                .await
                .map_err(gone)?,
        )
    }

    async fn abort_multipart(&self, at: &Path, id: &MultipartId) -> Result<()> {
        self.begin("abort", at.as_ref()).await?;
        self.inner.abort_multipart(at, id).await
    }
}
