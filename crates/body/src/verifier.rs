//! Compares what the metadata say of bodies with the object store, a bounded piece
//! at a time: bodies byte by byte, objects by their lengths, and objects that nobody
//! knows. Changes nothing.
//!
//! What is read comes past the cache. Work goes on meanwhile: a body that was moved
//! or removed while it was looked at is no difference.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use postrider_blob::Error as BlobError;
use postrider_meta::query::{AllBodies, KnownObjects, Objects, PackContents};
use postrider_meta::{BodyView, Cursor, Encoding, ObjectView, Place, ReadAt};

use crate::blocks::{self, BLOCK, Table};
use crate::bodies::Shared;
use crate::sweeper::is_old;
use crate::{Bodies, Error, Needed, codec, key};

/// Bodies of one step.
const BODIES: u32 = 500;
/// A step ends once it has read this many stored bytes.
const BYTES: u64 = 32 << 20;
/// Objects of one step.
const OBJECTS: u32 = 500;
/// Objects that are asked for at the same time.
const AT_ONCE: usize = 8;
/// Bodies of a pack that lie closer than this are read in one request, up to
/// [`REQUEST`] bytes.
const GAP: u64 = 64 << 10;
const REQUEST: u64 = 8 << 20;
/// Blocks of a large body that are read at once (1 MiB decoded).
const WINDOW: u64 = 16;
/// Keys in one question to the metadata store.
const BATCH: usize = 1000;
/// The parts of the store that are listed one after the other, by the two digits in
/// keys and the two kinds.
const FOLDERS: u32 = 512;

/// What one step found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<C> {
    /// Each difference in words, with the body or object that it is about.
    pub problems: Vec<String>,
    /// Objects that nobody knows and that wait for the sweep: that is well.
    pub waiting: Vec<String>,
    /// What was looked at.
    pub checked: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Where to go on; None at the end.
    pub next: Option<C>,
}

impl<C> Default for Verified<C> {
    fn default() -> Self {
        Self {
            problems: Vec::new(),
            waiting: Vec::new(),
            checked: 0,
            bytes: 0,
            next: None,
        }
    }
}

/// Compares bodies and objects. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    shared: Arc<Shared>,
    needed: Option<Needed>,
}

impl Verifier {
    /// A verifier of `bodies`; `needed` as the sweeper has it.
    pub fn new(bodies: &Bodies, needed: Option<Needed>) -> Self {
        Self {
            shared: bodies.shared.clone(),
            needed,
        }
    }

    /// Reads some bodies and checks them against their checksums.
    pub async fn bodies(&self, after: Option<Cursor>) -> Result<Verified<Cursor>, Error> {
        let query = AllBodies {
            after,
            limit: BODIES,
            max_bytes: BYTES,
        };
        let (page, _) = self.shared.meta.ask(query, ReadAt::Latest).await?;
        let mut found = Verified {
            checked: page.items.len() as u64,
            next: page.next,
            ..Verified::default()
        };
        let mut packs: BTreeMap<String, Vec<(u64, u64, BodyView)>> = BTreeMap::new();
        for body in page.items {
            match body.place.clone() {
                Place::Inline => {
                    let reason = match &body.inline {
                        Some(stored) => checked(&body, stored).err(),
                        None => Some("its bytes are missing in the metadata store".into()),
                    };
                    self.tell(&body, reason, &mut found).await?;
                }
                Place::Object { .. } if body.encoding == Encoding::Blocks => {
                    let reason = self.large(&body, &mut found.bytes).await?;
                    self.tell(&body, reason, &mut found).await?;
                }
                Place::Object {
                    key,
                    offset,
                    length,
                } => packs.entry(key).or_default().push((offset, length, body)),
            }
        }
        for (key, bodies) in packs {
            self.pack(&key, bodies, &mut found).await?;
        }
        Ok(found)
    }

    /// Notes a difference, if the body is still where it was looked for.
    async fn tell<C>(
        &self,
        body: &BodyView,
        reason: Option<String>,
        found: &mut Verified<C>,
    ) -> Result<(), Error> {
        let Some(reason) = reason else {
            return Ok(());
        };
        let now = self.shared.view_now(body.id).await?;
        if now.is_some_and(|now| now.place == body.place) {
            let place = match &body.place {
                Place::Inline => "inline".to_owned(),
                Place::Object { key, offset, .. } => format!("object {key} at byte {offset}"),
            };
            let id = body.id;
            found
                .problems
                .push(format!("body {id} ({place}): {reason}"));
        }
        Ok(())
    }

    /// Bodies in a pack, neighbours in one request.
    async fn pack(
        &self,
        key: &str,
        mut bodies: Vec<(u64, u64, BodyView)>,
        found: &mut Verified<Cursor>,
    ) -> Result<(), Error> {
        bodies.sort_unstable_by_key(|(offset, ..)| *offset);
        let mut rest = bodies.as_slice();
        while let Some((start, length, _)) = rest.first() {
            let mut end = start.saturating_add(*length);
            let mut count = 1;
            for (offset, length, _) in &rest[1..] {
                let reach = offset.saturating_add(*length);
                if offset.saturating_sub(end) >= GAP || reach.saturating_sub(*start) > REQUEST {
                    break;
                }
                end = end.max(reach);
                count += 1;
            }
            let (group, later) = rest.split_at(count);
            rest = later;
            self.neighbours(key, group, found).await?;
        }
        Ok(())
    }

    async fn neighbours(
        &self,
        key: &str,
        group: &[(u64, u64, BodyView)],
        found: &mut Verified<Cursor>,
    ) -> Result<(), Error> {
        let start = group.first().map_or(0, |(offset, ..)| *offset);
        let ends = group.iter().map(|(o, l, _)| o.saturating_add(*l));
        let end = ends.max().unwrap_or(start);
        let read = match self.shared.blobs.get_once(key, start..end).await {
            Ok(bytes) => {
                found.bytes += bytes.len() as u64;
                Ok(bytes)
            }
            // Which of them it is, each tells by itself.
            Err(BlobError::Short(_)) if group.len() > 1 => {
                for one in group.chunks(1) {
                    Box::pin(self.neighbours(key, one, found)).await?;
                }
                return Ok(());
            }
            Err(error) => Err(lost(error)?),
        };
        for (offset, length, body) in group {
            let reason = match &read {
                Ok(bytes) => {
                    let from = (offset - start) as usize;
                    let to = from.saturating_add(*length as usize);
                    checked(body, &bytes.slice(from..to)).err()
                }
                Err(reason) => Some(reason.clone()),
            };
            self.tell(body, reason, found).await?;
        }
        Ok(())
    }

    /// Reads a large body; what is wrong with it.
    async fn large(&self, body: &BodyView, read: &mut u64) -> Result<Option<String>, Error> {
        let Place::Object {
            key,
            offset: 0,
            length,
        } = &body.place
        else {
            return Ok(Some("blocks do not lie alone in their object".into()));
        };
        let Some(tail) = blocks::tail(body.size, *length) else {
            return Ok(Some("the object is too short".into()));
        };
        let blobs = &self.shared.blobs;
        let bytes = match blobs.get_once(key, tail).await {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Some(lost(error)?)),
        };
        let table = match Table::read(&bytes, body.size, &body.checksum, *length) {
            Ok(table) => table,
            Err(reason) => return Ok(Some(reason)),
        };
        *read += length;
        let mut whole = blake3::Hasher::new();
        let blocks = body.size.div_ceil(BLOCK);
        let mut first = 0;
        while first < blocks {
            let numbers = first..(first + WINDOW).min(blocks);
            first = numbers.end;
            let Some(ranges) = table.stored(numbers.clone()) else {
                return Ok(Some("a block is missing".into()));
            };
            let (Some(start), Some(end)) = (ranges.first(), ranges.last()) else {
                return Ok(Some("a block is missing".into()));
            };
            let bytes = match blobs.get_once(key, start.start..end.end).await {
                Ok(bytes) => bytes,
                Err(error) => return Ok(Some(lost(error)?)),
            };
            for (number, range) in numbers.zip(&ranges) {
                let from = (range.start - start.start) as usize;
                let to = (range.end - start.start) as usize;
                match table.decode(number, &bytes.slice(from..to)) {
                    Ok(block) => whole.update(&block),
                    Err(reason) => return Ok(Some(reason)),
                };
            }
        }
        let sound = *whole.finalize().as_bytes() == body.checksum;
        Ok((!sound).then(|| "the checksum does not match".into()))
    }

    /// Looks whether some objects are there and as long as they should be.
    pub async fn objects(&self, after: Option<Cursor>) -> Result<Verified<Cursor>, Error> {
        let query = Objects {
            after,
            limit: OBJECTS,
        };
        let (page, _) = self.shared.meta.ask(query, ReadAt::Latest).await?;
        let checked = page.items.len() as u64;
        let looks = page.items.into_iter().map(|object| self.object(object));
        let problems: Vec<Option<String>> = stream::iter(looks)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(Verified {
            problems: problems.into_iter().flatten().collect(),
            checked,
            next: page.next,
            ..Verified::default()
        })
    }

    async fn object(&self, object: ObjectView) -> Result<Option<String>, Error> {
        if object.dead_since.is_some() {
            return Ok(None);
        }
        let ObjectView { key, length, .. } = object;
        let reason = match self.shared.blobs.size(&key).await {
            Ok(found) if found == length => return Ok(None),
            Ok(found) => format!("it has {found} bytes, not {length}"),
            Err(error) => lost(error)?,
        };
        // It may have died and gone meanwhile.
        let lives = PackContents {
            key: key.clone(),
            after: None,
            limit: 1,
        };
        let (lives, _) = self.shared.meta.ask(lives, ReadAt::Latest).await?;
        Ok((!lives.items.is_empty()).then(|| format!("object {key}: {reason}")))
    }

    /// Looks for objects that nobody knows, in one part of the store, from 0 on.
    pub async fn unknown(&self, folder: u32) -> Result<Verified<u32>, Error> {
        // What the sweep would remove, but for its last two rounds.
        let now = self.shared.meta.clock().now();
        let before = self.shared.before(now, self.needed.as_ref()).await?;
        let rounds = 2 * self.shared.settings.sweep_every;
        let overdue = before.before(rounds);
        let kind = if folder < 256 {
            key::SINGLES
        } else {
            key::PACKS
        };
        let mut listing = self
            .shared
            .blobs
            .list(&format!("{kind}/{:02x}", folder % 256));
        let mut found = Verified {
            next: (folder + 1 < FOLDERS).then_some(folder + 1),
            ..Verified::default()
        };
        // Younger ones may be under way.
        let young = self.shared.meta.clock().now();
        let young = young.before(postrider_meta::limit::UPLOAD_AGE);
        let mut batch: Vec<(String, bool)> = Vec::new();
        loop {
            let item = listing.try_next().await?;
            let last = item.is_none();
            if let Some(item) = item {
                found.checked += 1;
                if is_old(&item, young) {
                    let late = is_old(&item, overdue);
                    batch.push((item.key, late));
                }
            }
            if batch.len() == BATCH || (last && !batch.is_empty()) {
                self.sort_out(std::mem::take(&mut batch), &mut found)
                    .await?;
            }
            if last {
                return Ok(found);
            }
        }
    }

    async fn sort_out(
        &self,
        batch: Vec<(String, bool)>,
        found: &mut Verified<u32>,
    ) -> Result<(), Error> {
        let keys = batch.iter().map(|(key, _)| key.clone()).collect();
        let (known, _) = self
            .shared
            .meta
            .ask(KnownObjects { keys }, ReadAt::Latest)
            .await?;
        let unknown = batch.into_iter().zip(known).filter(|(_, known)| !known);
        for ((key, late), _) in unknown {
            match late {
                true => found.problems.push(format!(
                    "object {key}: nobody knows it, and the sweep has not removed it"
                )),
                false => found.waiting.push(key),
            }
        }
        Ok(())
    }
}

/// Whether a small body is what its row says.
fn checked(body: &BodyView, stored: &Bytes) -> Result<Bytes, String> {
    codec::decode(stored, body.encoding, body.size, &body.checksum)
}

/// What an error of the object store says of an object; the error itself where it
/// says nothing.
fn lost(error: BlobError) -> Result<String, Error> {
    match error {
        BlobError::NotFound(_) => Ok("the object is missing".into()),
        BlobError::Short(_) => Ok("the object is too short".into()),
        other => Err(other.into()),
    }
}
