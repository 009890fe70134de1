//! All bodies, for whoever compares them with the object store.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use super::{bodies, page};
use crate::view::{BodyView, Cursor, Page};
use crate::{key, row};

/// All bodies by id, with the bytes of inline ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AllBodies {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most bodies to return, 1 to 1,000.
    pub limit: u32,
    /// An answer ends once the stored bytes of its bodies are this many.
    pub max_bytes: u64,
}

/// The most bodies of an answer.
const MOST: u32 = 1_000;
/// Bodies are read in pieces of this many: inline bytes come with them.
const PIECE: u32 = 64;

pub(super) async fn answer<R: Read>(read: &R, query: AllBodies) -> kv::Result<Page<BodyView>> {
    let limit = query.limit.clamp(1, MOST) as usize;
    let mut after = query.after;
    let mut items = Vec::new();
    let mut size = 0;
    loop {
        let room = u32::try_from(limit - items.len()).unwrap_or(PIECE);
        let piece = PIECE.min(room);
        let (pairs, next) =
            page::prefix_page(read, key::bodies(), after.as_ref(), piece, PIECE).await?;
        let mut ids = Vec::with_capacity(pairs.len());
        for (key, value) in &pairs {
            ids.push(key::body_of(key).ok_or_else(|| row::bad_key(key))?);
            size += row::decode::<row::Body>(key, value)?.length;
        }
        items.extend(bodies::of(read, &ids, true).await?.into_iter().flatten());
        after = next;
        if after.is_none() || items.len() >= limit || size >= query.max_bytes {
            return Ok(page::of(items, after));
        }
    }
}
