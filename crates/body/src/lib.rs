//! Message bodies between metadata and objects: taking one in, reading it,
//! packing small ones into objects, sweeping what nobody knows any more.
//!
//! Owns the stored form of a body (compression, blocks, checksums) and the keys
//! of its objects. Knows no protocol; only metadata commands change what is
//! known about a body.

mod error;
mod settings;

pub use error::Error;
pub use settings::Settings;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use postrider_meta::{Client, NewBody};
use postrider_types::BodyId;

/// The bodies: takes them in and reads them. Cheap to clone.
#[derive(Clone)]
pub struct Bodies {
    _shared: Arc<(Client, Arc<postrider_blob::Store>, Settings)>,
}

impl Bodies {
    /// The bodies whose rows `meta` and whose objects `blobs` keeps.
    pub fn new(meta: Client, blobs: Arc<postrider_blob::Store>, settings: Settings) -> Self {
        Self {
            _shared: Arc::new((meta, blobs, settings)),
        }
    }

    /// Begins to take in one body.
    pub fn intake(&self) -> Intake {
        Intake { size: 0 }
    }

    /// The decoded bytes of `range`, cut at the body's end; checked.
    pub async fn read(&self, id: BodyId, _range: Range<u64>) -> Result<Bytes, Error> {
        Err(Error::NotFound(id))
    }

    /// The whole body, refused with [`Error::TooLarge`] above `limit` bytes.
    pub async fn read_all(&self, id: BodyId, _limit: u64) -> Result<Bytes, Error> {
        Err(Error::NotFound(id))
    }

    /// A reader of one body.
    pub async fn open(&self, id: BodyId) -> Result<Reader, Error> {
        Err(Error::NotFound(id))
    }

    /// Readers of many bodies in the order asked, None for unknown ones: one
    /// metadata query per 1,000.
    pub async fn open_many(&self, _ids: &[BodyId]) -> Result<Vec<Option<Reader>>, Error> {
        Ok(Vec::new())
    }

    /// Whether the object store answered lately.
    pub fn available(&self) -> bool {
        true
    }
}

/// Reads one body.
pub struct Reader {
    id: BodyId,
    size: u64,
}

impl Reader {
    /// Which body.
    pub fn id(&self) -> BodyId {
        self.id
    }

    /// Its length in bytes, decoded.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The decoded bytes of `range`, cut at the body's end; checked. Holds all of
    /// them in memory: ask for pieces.
    pub async fn read(&self, _range: Range<u64>) -> Result<Bytes, Error> {
        Err(Error::NotFound(self.id))
    }

    /// The next decoded bytes from the start on, at most 64 KiB (a small body
    /// comes whole); None at the end.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(None)
    }
}

/// Takes in one body. Dropped without [`Intake::finish`] it is given up.
pub struct Intake {
    size: u64,
}

impl Intake {
    /// Takes the next bytes.
    pub async fn write(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.size += chunk.len() as u64;
        Ok(())
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends the body: what [`postrider_meta::command::Accept`] and
    /// [`postrider_meta::command::Append`] take. An object it lies in is durable.
    pub async fn finish(self) -> Result<NewBody, Error> {
        Err(Error::Unavailable(String::new()))
    }
}
