//! Takes in one body as it arrives: checksum, summary, and its stored form, in
//! memory while it is small and streamed to an object of its own from then on.

use std::sync::Arc;

use bytes::Bytes;
use postrider_blob::Upload;
use postrider_message::{Summarizer, Summary};
use postrider_meta::{Content, Encoding, NewBody};
use postrider_types::BodyId;

use crate::blocks::Writer;
use crate::bodies::Shared;
use crate::{Error, codec, key};

/// Takes in one body. Dropped without [`Intake::finish`] it is given up: at most
/// an object stays behind that nobody knows, which the sweeper removes.
pub struct Intake {
    shared: Arc<Shared>,
    id: BodyId,
    size: u64,
    summarizer: Summarizer,
    stage: Stage,
}

/// Where the bytes are.
enum Stage {
    /// All of them here.
    Small(Vec<u8>),
    /// On their way into an object.
    Large(Box<Large>),
    /// Lost: what every further call answers.
    Failed(Error),
}

struct Large {
    key: String,
    writer: Writer,
    upload: Upload,
    /// Encoded and not yet handed to the upload; kept to reuse its memory.
    ready: Vec<Bytes>,
}

impl Intake {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let id = BodyId::new(shared.meta.clock().now(), shared.meta.random());
        Self {
            shared,
            id,
            size: 0,
            summarizer: Summarizer::new(),
            stage: Stage::Small(Vec::new()),
        }
    }

    /// Takes the next bytes. After an error the body is lost, and each further
    /// call answers the same: the caller may go on reading what the client sends.
    pub async fn write(&mut self, chunk: &[u8]) -> Result<(), Error> {
        match self.take(chunk).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // Gives up an upload at once.
                self.stage = Stage::Failed(error.clone());
                Err(error)
            }
        }
    }

    async fn take(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let settings = &self.shared.settings;
        self.size = self.size.saturating_add(chunk.len() as u64);
        if let Stage::Failed(error) = &self.stage {
            return Err(error.clone());
        }
        if self.size > settings.max_size {
            return Err(Error::TooLarge {
                limit: settings.max_size,
            });
        }
        self.summarizer.push(chunk);
        match &mut self.stage {
            Stage::Small(bytes) if self.size <= settings.inline_limit => {
                bytes.extend_from_slice(chunk);
            }
            Stage::Small(bytes) => {
                let bytes = std::mem::take(bytes);
                let mut large = Large::begin(&self.shared, self.id)?;
                large.push(&bytes).await?;
                large.push(chunk).await?;
                self.stage = Stage::Large(Box::new(large));
            }
            Stage::Large(large) => large.push(chunk).await?,
            Stage::Failed(_) => {}
        }
        Ok(())
    }

    /// Bytes taken so far, lost ones included.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends the body: what [`postrider_meta::command::Accept`] and
    /// [`postrider_meta::command::Append`] take. An object that it lies in is
    /// durable.
    pub async fn finish(self) -> Result<NewBody, Error> {
        Ok(self.finish_with_summary().await?.0)
    }

    /// As [`Intake::finish`], with the summary for whoever must look at it first
    /// (loops, missing fields).
    pub async fn finish_with_summary(self) -> Result<(NewBody, Summary), Error> {
        let (checksum, encoding, content) = match self.stage {
            Stage::Small(plain) => {
                let checksum = *blake3::hash(&plain).as_bytes();
                let tried = plain.len() as u64 >= self.shared.settings.compress_from;
                match tried.then(|| codec::compress(&plain)).flatten() {
                    Some(packed) => (checksum, Encoding::Zstd, Content::Inline(packed.into())),
                    None => (checksum, Encoding::Identity, Content::Inline(plain.into())),
                }
            }
            Stage::Large(large) => {
                let key = large.key.clone();
                let (checksum, length) = large.finish().await?;
                (checksum, Encoding::Blocks, Content::Object { key, length })
            }
            Stage::Failed(error) => return Err(error),
        };
        let summary = self.summarizer.finish();
        let body = NewBody {
            id: self.id,
            size: self.size,
            checksum,
            encoding,
            content,
            summary: summary.encode_to_bytes(),
            inline_budget: self.shared.settings.inline_budget,
        };
        Ok((body, summary))
    }
}

impl Large {
    fn begin(shared: &Shared, id: BodyId) -> Result<Self, Error> {
        let key = key::key(key::SINGLES, id);
        // Nothing is asked of a store that is away: the sender is told at once.
        if !shared.blobs.writable() {
            return Err(Error::Unavailable(
                "the object store does not answer".into(),
            ));
        }
        let upload = shared.blobs.upload(&key)?;
        Ok(Self {
            key,
            writer: Writer::new(),
            upload,
            ready: Vec::new(),
        })
    }

    async fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.writer.push(bytes, &mut self.ready);
        for block in self.ready.drain(..) {
            self.upload.write(block).await?;
        }
        Ok(())
    }

    /// The body's checksum and the object's length.
    async fn finish(mut self) -> Result<([u8; 32], u64), Error> {
        let checksum = self.writer.finish(&mut self.ready);
        for block in self.ready {
            self.upload.write(block).await?;
        }
        Ok((checksum, self.upload.finish().await?))
    }
}
