//! [`Bodies`]: the entry to reading and taking in, and what all its readers and
//! jobs share.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use postrider_blob::Store;
use postrider_meta::query;
use postrider_meta::{BodyView, Client, Encoding, Place, ReadAt, Token};
use postrider_types::BodyId;

use crate::{Error, Intake, Reader, Settings};

/// The most ids in one metadata query.
const QUERY: usize = 1000;

/// The most stored bytes that [`Bodies::open_many`] reads ahead from packs.
const AHEAD: u64 = 8 << 20;

/// Packs that are read at the same time.
const PACKS_AT_ONCE: usize = 4;

/// The bodies: takes them in and reads them. Cheap to clone.
#[derive(Clone)]
pub struct Bodies {
    pub(crate) shared: Arc<Shared>,
}

/// What readers, intakes and jobs share.
pub(crate) struct Shared {
    pub(crate) meta: Client,
    pub(crate) blobs: Arc<Store>,
    pub(crate) settings: Settings,
}

impl Bodies {
    /// The bodies whose rows `meta` and whose objects `blobs` keeps.
    pub fn new(meta: Client, blobs: Arc<Store>, settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                meta,
                blobs,
                settings,
            }),
        }
    }

    /// Begins to take in one body.
    pub fn intake(&self) -> Intake {
        Intake::new(self.shared.clone())
    }

    /// The decoded bytes of `range`, cut at the body's end; checked.
    pub async fn read(&self, id: BodyId, range: Range<u64>) -> Result<Bytes, Error> {
        self.open(id).await?.read(range).await
    }

    /// The whole body, refused with [`Error::TooLarge`] above `limit` bytes.
    pub async fn read_all(&self, id: BodyId, limit: u64) -> Result<Bytes, Error> {
        let reader = self.open(id).await?;
        if reader.size() > limit {
            return Err(Error::TooLarge { limit });
        }
        reader.read(0..reader.size()).await
    }

    /// A reader of one body.
    pub async fn open(&self, id: BodyId) -> Result<Reader, Error> {
        self.open_many(&[id])
            .await?
            .pop()
            .flatten()
            .ok_or(Error::NotFound(id))
    }

    /// Readers of many bodies in the order asked, None for unknown ones: one
    /// metadata query per 1,000, and bodies that lie side by side in a pack come
    /// in one request.
    ///
    /// The readers hold the stored bytes of inline bodies and up to 8 MiB of
    /// packed ones: ask for as many as may be in memory together. A body that
    /// cannot be read now says so when it is read.
    pub async fn open_many(&self, ids: &[BodyId]) -> Result<Vec<Option<Reader>>, Error> {
        let mut views = Vec::with_capacity(ids.len());
        for ids in ids.chunks(QUERY) {
            views.extend(self.shared.views(ids).await?);
        }
        let mut stored = self.shared.read_ahead(&views).await;
        let readers = views.into_iter().enumerate().map(|(i, view)| {
            let view = view?;
            let ahead = stored.remove(&i);
            Some(Reader::new(self.shared.clone(), view, ahead))
        });
        Ok(readers.collect())
    }

    /// Whether the object store answers, as far as is known.
    pub fn available(&self) -> bool {
        self.shared.blobs.available()
    }
}

impl Shared {
    /// The rows of at most [`QUERY`] bodies, with the bytes of inline ones.
    pub(crate) async fn views(&self, ids: &[BodyId]) -> Result<Vec<Option<BodyView>>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // Whatever state is at hand: a body never changes, only its place does.
        let mut views = self
            .views_at(ids.to_vec(), ReadAt::AtLeast(Token(0)))
            .await?;
        // A state that lags may miss the newest ones.
        let missing: Vec<usize> = (0..ids.len()).filter(|&i| views[i].is_none()).collect();
        if !missing.is_empty() {
            let again = missing.iter().map(|&i| ids[i]).collect();
            for (i, view) in missing
                .into_iter()
                .zip(self.views_at(again, ReadAt::Latest).await?)
            {
                views[i] = view;
            }
        }
        Ok(views)
    }

    /// The row of one body as it is now.
    pub(crate) async fn view_now(&self, id: BodyId) -> Result<Option<BodyView>, Error> {
        Ok(self
            .views_at(vec![id], ReadAt::Latest)
            .await?
            .pop()
            .flatten())
    }

    async fn views_at(&self, ids: Vec<BodyId>, at: ReadAt) -> Result<Vec<Option<BodyView>>, Error> {
        let asked = ids.len();
        let (views, _) = self
            .meta
            .ask(query::Bodies { ids, inline: true }, at)
            .await?;
        if views.len() != asked {
            return Err(Error::Unavailable(
                "the metadata store gave a wrong answer".into(),
            ));
        }
        Ok(views)
    }

    /// The stored bytes of packed bodies among `views`, by their index, as far as
    /// they can be had at once; the others are read when they are asked for.
    async fn read_ahead(&self, views: &[Option<BodyView>]) -> HashMap<usize, Bytes> {
        let mut packs: HashMap<&str, (Vec<usize>, Vec<Range<u64>>)> = HashMap::new();
        let mut budget = AHEAD;
        for (i, view) in views.iter().enumerate() {
            let Some(view) = view else { continue };
            let Place::Object {
                key,
                offset,
                length,
            } = &view.place
            else {
                continue;
            };
            if view.encoding == Encoding::Blocks || *length > budget {
                continue;
            }
            budget -= length;
            let (indexes, ranges) = packs.entry(key).or_default();
            indexes.push(i);
            ranges.push(*offset..offset.saturating_add(*length));
        }
        if packs.is_empty() {
            return HashMap::new();
        }
        // Collected first: as an adapter of the stream, the closure over borrowed keys
        // keeps every caller's future from being `Send`.
        let reads: Vec<_> = packs
            .into_iter()
            .map(|(key, (indexes, ranges))| async move {
                // An error comes again, with its body's name, when that is read.
                let read = self.blobs.get_ranges(key, &ranges).await;
                indexes.into_iter().zip(read.unwrap_or_default())
            })
            .collect();
        stream::iter(reads)
            .buffer_unordered(PACKS_AT_ONCE)
            .flat_map(stream::iter)
            .collect()
            .await
    }
}
