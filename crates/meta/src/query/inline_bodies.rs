//! Bodies that wait for the packer.

use postrider_kv::{self as kv, Read};
use postrider_types::BodyId;
use serde::{Deserialize, Serialize};

use super::{bodies, page};
use crate::view::{BodyView, Cursor, Page};
use crate::{key, row};

/// Inline bodies, oldest first, with their bytes: food for the packer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InlineBodies {
    /// The first id to look for; None for the first of all. A store takes long to
    /// read over what was removed since it compacted last: who removes the oldest
    /// ones should begin behind them.
    pub from: Option<BodyId>,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most bodies to return, 1 to 10,000.
    pub limit: u32,
    /// An answer ends at this many bytes.
    pub max_bytes: u64,
}

/// The most bodies of an answer.
const MOST: u32 = 10_000;
/// Bodies are read in pieces of up to this many, so that an answer that ends by
/// its bytes has not read far ahead.
const PIECE: u32 = 64;

pub(super) async fn answer<R: Read>(read: &R, query: InlineBodies) -> kv::Result<Page<BodyView>> {
    let limit = query.limit.clamp(1, MOST);
    let piece = limit.min(PIECE);
    let start = query.from.map_or_else(key::inlines, key::inline);
    let end = kv::key::successor(&key::inlines());
    let mut after = query.after;
    let mut items: Vec<BodyView> = Vec::new();
    let mut size = 0;
    loop {
        let (pairs, next) = page::page(
            read,
            start.clone(),
            end.clone(),
            after.as_ref(),
            piece,
            PIECE,
        )
        .await?;
        let ids = pairs
            .iter()
            .map(|(key, _)| key::body_of(key).ok_or_else(|| row::bad_key(key)))
            .collect::<kv::Result<Vec<_>>>()?;
        let views = bodies::of(read, &ids, false).await?;
        for ((key, bytes), view) in pairs.into_iter().zip(views) {
            size += bytes.len() as u64;
            if !items.is_empty() && (items.len() >= limit as usize || size > query.max_bytes) {
                return Ok(page::of(items, after));
            }
            after = Some(page::cursor(&key));
            if let Some(mut view) = view {
                view.inline = Some(bytes);
                items.push(view);
            }
        }
        if next.is_none() {
            return Ok(page::of(items, None));
        }
    }
}
