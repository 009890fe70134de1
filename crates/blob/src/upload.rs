//! A large object on its way in: parts are sent as they fill, so that no object
//! is ever whole in memory.

use std::sync::Arc;

use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, MultipartUpload, ObjectStore, PutMultipartOptions, PutPayload};

use crate::memory::Part;
use crate::request::Op;
use crate::{Error, Store};

/// An object that is being written. It exists once [`Upload::finish`] returned;
/// dropped before, it is given up and its parts are removed. (Parts that a store
/// keeps because the request to remove them was lost are the business of its
/// rule for incomplete multipart uploads.) One that takes nothing for some seconds
/// while others wait for memory is given up, too: [`Error::Crowded`].
///
/// An object that fits into one part is put by a single request.
pub struct Upload {
    store: Arc<Store>,
    key: String,
    path: Path,
    /// What has come and is not sent yet.
    part: Part,
    parts: Option<Parts>,
    written: u64,
}

/// An upload in parts that the store has begun.
enum Parts {
    /// A part may be sent again: parts have numbers.
    Numbered {
        id: MultipartId,
        sent: Vec<PartId>,
        store: Arc<dyn MultipartStore>,
    },
    /// Parts are sent once (a local folder).
    Plain(Box<dyn MultipartUpload>),
}

impl Upload {
    pub(crate) fn new(store: Arc<Store>, key: &str, path: Path) -> Self {
        let part = Part::new(store.upload_memory.clone());
        Self {
            store,
            key: key.into(),
            path,
            part,
            parts: None,
            written: 0,
        }
    }

    /// Bytes taken so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Takes the next bytes, sends a part when it is full. After an error the
    /// upload is of no use any more.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        self.written += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = self.store.part_size - self.part.length();
            if room == 0 {
                self.send().await?;
                continue;
            }
            let piece = bytes.split_to(room.min(bytes.len()));
            self.part.add(piece).await?;
            // A full part waits for more bytes: alone it goes by a plain put.
            let full = self.part.length() == self.store.part_size;
            if full && (!bytes.is_empty() || self.parts.is_some()) {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// Ends the object; durable on return. Its length in bytes.
    pub async fn finish(mut self) -> Result<u64, Error> {
        if self.parts.is_none() {
            let mut gathered = self.part.take()?;
            let pieces = std::mem::take(&mut gathered.pieces);
            self.store.put(&self.key, pieces).await?;
            return Ok(self.written);
        }
        if self.part.length() > 0 {
            self.send().await?;
        }
        self.complete().await?;
        self.parts = None;
        Ok(self.written)
    }

    /// Sends the buffered part.
    async fn send(&mut self) -> Result<(), Error> {
        let mut gathered = self.part.take()?;
        if self.parts.is_none() {
            self.parts = Some(self.begin().await?);
        }
        let payload: PutPayload = std::mem::take(&mut gathered.pieces).into_iter().collect();
        let length = payload.content_length() as u64;
        match &mut self.parts {
            Some(Parts::Numbered { id, sent, store }) => {
                let number = sent.len();
                let part = self
                    .store
                    .run(Op::PutPart, &self.key, || {
                        store.put_part(&self.path, id, number, payload.clone())
                    })
                    .await?;
                sent.push(part);
            }
            Some(Parts::Plain(upload)) => {
                // One attempt: a second one would become another part.
                upload
                    .put_part(payload)
                    .await
                    .map_err(|e| Error::classify(e, &self.key))?;
            }
            None => {}
        }
        self.store.written.increment(length);
        Ok(())
    }

    async fn begin(&mut self) -> Result<Parts, Error> {
        let (path, backend) = (&self.path, &self.store.backend);
        match &backend.parts {
            Some(store) => {
                let id = self
                    .store
                    .run(Op::StartUpload, &self.key, || store.create_multipart(path))
                    .await?;
                Ok(Parts::Numbered {
                    id,
                    sent: Vec::new(),
                    store: store.clone(),
                })
            }
            None => {
                let upload = self
                    .store
                    .run(Op::StartUpload, &self.key, || {
                        backend
                            .objects
                            .put_multipart_opts(path, PutMultipartOptions::default())
                    })
                    .await?;
                Ok(Parts::Plain(upload))
            }
        }
    }

    async fn complete(&mut self) -> Result<(), Error> {
        match &mut self.parts {
            Some(Parts::Numbered { id, sent, store }) => {
                let completed = self
                    .store
                    .run(Op::FinishUpload, &self.key, || {
                        store.complete_multipart(&self.path, id, sent.clone())
                    })
                    .await;
                match completed {
                    Ok(_) => Ok(()),
                    // The answer to an earlier attempt was lost: the upload is
                    // gone because it has become the object.
                    Err(Error::NotFound(_)) => {
                        if self.store.size(&self.key).await? == self.written {
                            Ok(())
                        } else {
                            Err(Error::Unavailable(
                                "the store lost an upload in parts".into(),
                            ))
                        }
                    }
                    Err(error) => Err(error),
                }
            }
            Some(Parts::Plain(upload)) => {
                upload
                    .complete()
                    .await
                    .map_err(|e| Error::classify(e, &self.key))?;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(parts) = self.parts.take() else {
            return;
        };
        // Nothing is lost without a runtime: the process is ending.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (key, path) = (
            std::mem::take(&mut self.key),
            std::mem::take(&mut self.path),
        );
        runtime.spawn(async move {
            let aborted = match parts {
                Parts::Numbered { id, store, .. } => store.abort_multipart(&path, &id).await,
                Parts::Plain(mut upload) => upload.abort().await,
            };
            if let Err(error) = aborted {
                tracing::debug!(key, %error, "the parts of an abandoned upload stay behind");
            }
        });
    }
}
