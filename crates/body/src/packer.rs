//! Moves inline bodies into packs, many to one object, and rewrites packs that
//! have become half empty. In the background: delivery never waits for it.
//!
//! A pack is put first and told by `Relocate` afterwards, which passes over every
//! body that is no longer where it was read. So whatever happens between the two,
//! the worst is an object that nobody knows, which the sweeper removes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use postrider_meta::command::{Move, Relocate};
use postrider_meta::query::{InlineBodies, InlineUsage, PackContents, Packs};
use postrider_meta::{BodyView, Encoding, ObjectView, Place, ReadAt};
use postrider_types::{BodyId, Millis};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::background::Loop;
use crate::bodies::Shared;
use crate::{Bodies, Error, codec, key};

/// The most bodies in one pack.
const MAX_BODIES: u32 = 2000;

/// The most bodies in one command: the metadata store must not be held up.
const MAX_MOVES: usize = 500;

/// Live bodies with less than this between them are read in one request.
const GAP: u64 = 128 << 10;

/// A look begins at the oldest body of the last one, less this: by so much may an
/// older one be stored later.
const LATE: Duration = Duration::from_secs(2);

/// Of so many looks one begins at the very beginning, for what came later still.
/// Not each: a store takes long to read over what was packed since it compacted.
const LOOKS: u32 = 60;

/// The pause between looks whether there is something to pack.
const IDLE: Duration = Duration::from_secs(1);

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Bodies that were moved.
    pub bodies: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// There is likely more to do at once.
    pub more: bool,
}

/// The packer. One is enough for a cluster; several do no harm but waste.
pub struct Packer {
    shared: Arc<Shared>,
    /// Where the next look begins; None for the very beginning.
    from: Option<BodyId>,
    /// Looks since the last one from the very beginning.
    looks: u32,
}

impl Packer {
    /// A packer of `bodies`.
    pub fn new(bodies: &Bodies) -> Self {
        Self {
            shared: bodies.shared.clone(),
            from: None,
            looks: 0,
        }
    }

    /// Packs until `shutdown`, at the rate of the settings. While one of the
    /// stores is away it waits, longer and longer, and logs once.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let settings = self.shared.settings.clone();
        let every = settings.sweep_every;
        let mut pace = Loop::new("packing bodies", shutdown);
        let mut rewritten = Instant::now();
        loop {
            let mut result = self.step().await;
            if matches!(&result, Ok(packed) if !packed.more) && rewritten.elapsed() >= every {
                result = self.rewrite().await;
                // Only when all is done; a step at a time, so that new mail is
                // packed in between.
                if matches!(&result, Ok(packed) if !packed.more) {
                    rewritten = Instant::now();
                }
            }
            let pause = result.map(|packed| {
                let spread = packed.bytes as f64 / settings.pack_rate as f64;
                let spread = Duration::from_secs_f64(spread);
                if packed.more {
                    spread
                } else {
                    spread.max(IDLE)
                }
            });
            if !pace.pause(pause).await {
                return;
            }
        }
    }

    /// Packs the oldest inline bodies if it is time: at most one pack.
    pub async fn step(&mut self) -> Result<Packed, Error> {
        let now = self.shared.meta.clock().now();
        // A look at the oldest one alone: the bytes are not moved to see the time.
        let Some(oldest) = self.oldest().await? else {
            return Ok(Packed::default());
        };
        let settings = &self.shared.settings;
        let (usage, _) = self.shared.meta.ask(InlineUsage {}, ReadAt::Latest).await?;
        // Half of the budget is used up: room matters more than quick reads.
        let cutoff = match usage >= settings.inline_budget / 2 {
            true => now,
            false => now.before(settings.pack_after),
        };
        let overdue = cutoff.before(settings.pack_wait);
        if oldest > cutoff || (oldest > overdue && usage < settings.pack_size) {
            return Ok(Packed::default());
        }
        let (mut bodies, last) = self.inline(MAX_BODIES, settings.pack_size).await?;
        let told = bodies.len();
        bodies.retain(|body| body.id.made_at() <= cutoff);
        let more = !last && bodies.len() == told;
        let mut pack = Pack::default();
        for body in bodies {
            if let Some(bytes) = body.inline {
                pack.add(body.id, Place::Inline, bytes);
            }
        }
        if !more && oldest > overdue && pack.length < settings.pack_size / 2 {
            return Ok(Packed::default());
        }
        self.write(pack, more).await
    }

    /// Moves what lives in packs that are more than half empty into new ones: at
    /// most one new pack.
    pub async fn rewrite(&self) -> Result<Packed, Error> {
        let limit = self.shared.settings.pack_size;
        let mut pack = Pack::default();
        let mut after = None;
        loop {
            let query = Packs {
                after: after.take(),
                limit: 100,
            };
            let (page, _) = self.shared.meta.ask(query, ReadAt::Latest).await?;
            for object in &page.items {
                self.salvage(object, &mut pack).await?;
                if pack.length >= limit || pack.moves.len() >= MAX_BODIES as usize {
                    return self.write(pack, true).await;
                }
            }
            after = page.next;
            if after.is_none() {
                return self.write(pack, false).await;
            }
        }
    }

    /// When the oldest inline body was made. The next look begins there.
    async fn oldest(&mut self) -> Result<Option<Millis>, Error> {
        self.looks += 1;
        if self.looks >= LOOKS {
            (self.from, self.looks) = (None, 0);
        }
        let found = self.inline(1, 1).await?.0;
        let oldest = found.first().map(|body| body.id.made_at());
        let seen = oldest.unwrap_or_else(|| self.shared.meta.clock().now());
        self.from = self.from.max(Some(BodyId::floor(seen.before(LATE))));
        Ok(oldest)
    }

    /// The oldest inline bodies, and whether there are no others.
    async fn inline(&self, limit: u32, max_bytes: u64) -> Result<(Vec<BodyView>, bool), Error> {
        let query = InlineBodies {
            from: self.from,
            after: None,
            limit,
            max_bytes,
        };
        let (page, _) = self.shared.meta.ask(query, ReadAt::Latest).await?;
        Ok((page.items, page.next.is_none()))
    }

    /// Adds what lives in `object` to `pack`. A damaged body stays where it is: it
    /// is told to whoever reads it, and moving it would hide where it was.
    async fn salvage(&self, object: &ObjectView, pack: &mut Pack) -> Result<(), Error> {
        let mut live = Vec::new();
        let mut after = None;
        loop {
            let query = PackContents {
                key: object.key.clone(),
                after,
                limit: MAX_BODIES,
            };
            let (page, _) = self.shared.meta.ask(query, ReadAt::Latest).await?;
            live.extend(page.items.into_iter().filter_map(|body| match body.place {
                Place::Object {
                    ref key,
                    offset,
                    length,
                } if *key == object.key && body.encoding != Encoding::Blocks => {
                    Some((offset, length, body))
                }
                _ => None,
            }));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        live.sort_unstable_by_key(|(offset, ..)| *offset);
        let close = |a: &(u64, u64, BodyView), b: &(u64, u64, BodyView)| {
            b.0.saturating_sub(a.0.saturating_add(a.1)) < GAP
        };
        for group in live.chunk_by(close) {
            let Some((start, ..)) = group.first() else {
                continue;
            };
            let end = group
                .iter()
                .map(|(o, l, _)| o.saturating_add(*l))
                .max()
                .unwrap_or(*start);
            let bytes = match self.shared.blobs.get_once(&object.key, *start..end).await {
                Ok(bytes) => bytes,
                Err(error @ postrider_blob::Error::Unavailable(_)) => return Err(error.into()),
                Err(error) => {
                    tracing::error!(object = object.key, %error, "a pack cannot be read");
                    return Ok(());
                }
            };
            for (offset, length, body) in group {
                // Inside of what was read, whose length was checked.
                let from = (offset - start) as usize;
                let stored = bytes.slice(from..from + *length as usize);
                match codec::decode(&stored, body.encoding, body.size, &body.checksum) {
                    Ok(_) => pack.add(body.id, body.place.clone(), stored),
                    Err(reason) => {
                        counter!("postrider_body_damaged_total").increment(1);
                        tracing::error!(body = %body.id, object = object.key, reason, "a packed body is damaged");
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts a pack and tells where its bodies lie now.
    async fn write(&self, pack: Pack, more: bool) -> Result<Packed, Error> {
        if pack.moves.is_empty() {
            return Ok(Packed {
                more: false,
                ..Packed::default()
            });
        }
        let meta = &self.shared.meta;
        // Made before the put: the key tells the age of the object.
        let key = key::key(key::PACKS, BodyId::new(meta.clock().now(), meta.random()));
        let Pack {
            parts,
            moves,
            length,
        } = pack;
        self.shared.blobs.put(&key, parts).await?;
        let mut bodies = 0;
        for moves in moves.chunks(MAX_MOVES) {
            let relocate = Relocate {
                key: key.clone(),
                length,
                moves: moves.to_vec(),
            };
            match meta.run(relocate).await?.0 {
                // None of them lies where it was read: another packer was quicker.
                // The object is known as dead now and takes no others.
                Ok(done) if done.moved == 0 && bodies == 0 => break,
                Ok(done) => bodies += u64::from(done.moved),
                // What was moved before has been removed already: the same.
                Err(_) if bodies > 0 => break,
                Err(refusal) => {
                    let text = format!("the pack {key} was refused: {refusal}");
                    return Err(Error::Unavailable(text));
                }
            }
        }
        counter!("postrider_body_packed_total").increment(bodies);
        counter!("postrider_body_packs_total").increment(1);
        // Without progress there is no hurry to look again.
        Ok(Packed {
            bodies,
            bytes: length,
            more: more && bodies > 0,
        })
    }
}

/// A pack that is being gathered: stored bodies, one after the other.
#[derive(Default)]
struct Pack {
    parts: Vec<Bytes>,
    moves: Vec<Move>,
    length: u64,
}

impl Pack {
    fn add(&mut self, body: BodyId, from: Place, stored: Bytes) {
        let length = stored.len() as u64;
        self.moves.push(Move {
            body,
            from,
            offset: self.length,
            length,
        });
        self.length += length;
        self.parts.push(stored);
    }
}
