//! Reads one body: finds its bytes, decodes and checks them.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use metrics::counter;
use postrider_blob::Error as BlobError;
use postrider_meta::{BodyView, Encoding, Place};
use postrider_types::BodyId;
use tokio::sync::OnceCell;

use crate::blocks::{self, BLOCK, Table};
use crate::bodies::Shared;
use crate::{Error, codec};

/// Blocks that a reader from start to end fetches at once (1 MiB decoded).
const WINDOW: u64 = 16;

/// Reads one body. What was checked once is kept, so that reading a small body in
/// pieces decodes it once.
pub struct Reader {
    shared: Arc<Shared>,
    view: BodyView,
    /// The stored bytes of a small body, if they came with the row or were read ahead.
    stored: Option<Bytes>,
    /// The decoded, checked small body.
    whole: OnceLock<Bytes>,
    /// The block table of a large one.
    table: OnceCell<Table>,
    /// Where [`Reader::next_chunk`] goes on.
    next: u64,
    /// Stored blocks that it fetched ahead, from block `next / BLOCK` on.
    window: VecDeque<Bytes>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, mut view: BodyView, ahead: Option<Bytes>) -> Self {
        let stored = view.inline.take().or(ahead);
        Self {
            shared,
            view,
            stored,
            whole: OnceLock::new(),
            table: OnceCell::new(),
            next: 0,
            window: VecDeque::new(),
        }
    }

    /// Which body.
    pub fn id(&self) -> BodyId {
        self.view.id
    }

    /// Its length in bytes, decoded.
    pub fn size(&self) -> u64 {
        self.view.size
    }

    /// The decoded bytes of `range`, cut at the body's end; checked. Holds all of
    /// them in memory: ask for pieces.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, Error> {
        let range = range.start.min(self.view.size)..range.end.min(self.view.size);
        if range.start >= range.end {
            return Ok(Bytes::new());
        }
        if self.view.encoding != Encoding::Blocks {
            let whole = self.whole().await?;
            // The size was checked, and fits memory since the body does.
            return Ok(whole.slice(range.start as usize..range.end as usize));
        }
        let first = range.start / BLOCK;
        let numbers = first..range.end.div_ceil(BLOCK);
        let stored = self.stored_blocks(numbers.clone()).await?;
        let skip = (range.start - first * BLOCK) as usize;
        let length = (range.end - range.start) as usize;
        if let [only] = &stored[..] {
            let block = self.block(first, only).await?;
            return Ok(block.slice(skip..skip + length));
        }
        let mut joined = BytesMut::with_capacity(length);
        for (number, stored) in numbers.zip(&stored) {
            let block = self.block(number, stored).await?;
            let from = if number == first { skip } else { 0 };
            let take = (length - joined.len()).min(block.len() - from);
            joined.extend_from_slice(&block[from..from + take]);
        }
        Ok(joined.freeze())
    }

    /// The next decoded bytes from the start on, at most 64 KiB (a small body
    /// comes whole); None at the end.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.next >= self.view.size {
            return Ok(None);
        }
        if self.view.encoding != Encoding::Blocks {
            let whole = self.whole().await?;
            self.next = self.view.size;
            return Ok(Some(whole));
        }
        let number = self.next / BLOCK;
        if self.window.is_empty() {
            let end = (number + WINDOW).min(self.view.size.div_ceil(BLOCK));
            self.window = self.stored_blocks(number..end).await?.into();
        }
        let Some(stored) = self.window.front() else {
            return Err(self.damaged("a block is missing".into()));
        };
        let block = self.block(number, stored).await?;
        self.window.pop_front();
        self.next += block.len() as u64;
        Ok(Some(block))
    }

    /// A small body, decoded and checked.
    async fn whole(&self) -> Result<Bytes, Error> {
        if let Some(whole) = self.whole.get() {
            return Ok(whole.clone());
        }
        let BodyView {
            encoding,
            size,
            ref checksum,
            ..
        } = self.view;
        let decode = |stored: &Bytes| codec::decode(stored, encoding, size, checksum);
        let whole = match &self.stored {
            Some(stored) => match decode(stored) {
                Ok(whole) => whole,
                // What came from the cache may be sound in the store.
                Err(reason) => match &self.view.place {
                    Place::Inline => return Err(self.damaged(reason)),
                    place => {
                        decode(&self.small(place, true).await?).map_err(|e| self.damaged(e))?
                    }
                },
            },
            None => match decode(&self.small(&self.view.place, false).await?) {
                Ok(whole) => whole,
                Err(_) => decode(&self.small(&self.view.place, true).await?)
                    .map_err(|e| self.damaged(e))?,
            },
        };
        Ok(self.whole.get_or_init(|| whole).clone())
    }

    /// The stored bytes of a small body that should lie at `place`; `fresh` ones
    /// come from the store itself. A body that was moved is followed once.
    async fn small(&self, place: &Place, fresh: bool) -> Result<Bytes, Error> {
        let Place::Object {
            key,
            offset,
            length,
        } = place
        else {
            return Err(self.damaged("its bytes are missing in the metadata store".into()));
        };
        let range = *offset..offset.saturating_add(*length);
        let read = match fresh {
            true => self.shared.blobs.get_once(key, range).await,
            false => self.shared.blobs.get(key, range).await,
        };
        match read {
            Err(BlobError::NotFound(_)) => {}
            other => return other.map_err(|e| self.broken(e)),
        }
        let now = self
            .shared
            .view_now(self.view.id)
            .await?
            .ok_or(Error::NotFound(self.view.id))?;
        match now.place {
            Place::Inline => now
                .inline
                .ok_or_else(|| self.damaged("its inline bytes are missing".into())),
            ref moved if moved == place => Err(self.damaged(format!("the object {key} is gone"))),
            Place::Object {
                key,
                offset,
                length,
            } => self
                .shared
                .blobs
                .get(&key, offset..offset.saturating_add(length))
                .await
                .map_err(|e| self.broken(e)),
        }
    }

    /// Key and length of the object of a large body.
    fn object(&self) -> Result<(&str, u64), Error> {
        match &self.view.place {
            Place::Object {
                key,
                offset: 0,
                length,
            } => Ok((key, *length)),
            _ => Err(self.damaged("blocks do not lie alone in their object".into())),
        }
    }

    async fn table(&self) -> Result<&Table, Error> {
        let read = || async {
            let (key, length) = self.object()?;
            let BodyView {
                size, ref checksum, ..
            } = self.view;
            let tail = blocks::tail(size, length)
                .ok_or_else(|| self.damaged("the object is too short".into()))?;
            let bytes = self.large(key, std::slice::from_ref(&tail)).await?;
            let bytes = bytes.into_iter().next().unwrap_or_default();
            match Table::read(&bytes, size, checksum, length) {
                Ok(table) => Ok(table),
                Err(_) => {
                    let bytes = self.shared.blobs.get_once(key, tail).await;
                    let bytes = bytes.map_err(|e| self.broken(e))?;
                    Table::read(&bytes, size, checksum, length).map_err(|e| self.damaged(e))
                }
            }
        };
        self.table.get_or_try_init(read).await
    }

    /// The stored bytes of the blocks `numbers` of a large body.
    async fn stored_blocks(&self, numbers: Range<u64>) -> Result<Vec<Bytes>, Error> {
        let ranges = self
            .table()
            .await?
            .stored(numbers)
            .ok_or_else(|| self.damaged("a block is missing".into()))?;
        self.large(self.object()?.0, &ranges).await
    }

    /// Ranges of a large body's object. Such a body never moves: its object is
    /// gone only with the body.
    async fn large(&self, key: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        match self.shared.blobs.get_ranges(key, ranges).await {
            Err(error @ BlobError::NotFound(_)) => {
                match self.shared.view_now(self.view.id).await? {
                    Some(_) => Err(self.broken(error)),
                    None => Err(Error::NotFound(self.view.id)),
                }
            }
            other => other.map_err(|e| self.broken(e)),
        }
    }

    /// Block `number`, decoded and checked.
    async fn block(&self, number: u64, stored: &Bytes) -> Result<Bytes, Error> {
        let table = self.table().await?;
        if let Ok(block) = table.decode(number, stored) {
            return Ok(block);
        }
        // What came from the cache may be sound in the store.
        let range = table
            .stored(number..number + 1)
            .and_then(|mut ranges| ranges.pop());
        let range = range.ok_or_else(|| self.damaged("a block is missing".into()))?;
        let fresh = self.shared.blobs.get_once(self.object()?.0, range).await;
        let fresh = fresh.map_err(|e| self.broken(e))?;
        table.decode(number, &fresh).map_err(|e| self.damaged(e))
    }

    /// What an error of the object store means for this body.
    fn broken(&self, error: BlobError) -> Error {
        match error {
            BlobError::NotFound(_) | BlobError::Short(_) => self.damaged(error.to_string()),
            other => Error::Unavailable(other.to_string()),
        }
    }

    fn damaged(&self, reason: String) -> Error {
        counter!("postrider_body_damaged_total").increment(1);
        Error::Damaged {
            id: self.view.id,
            reason,
        }
    }
}
