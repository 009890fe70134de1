//! Objects that may be removed.

use postrider_kv::{self as kv, Read};
use postrider_types::Millis;
use serde::{Deserialize, Serialize};

use super::{packs, page};
use crate::view::{Cursor, ObjectView, Page};
use crate::{key, row};

/// Objects in which nothing has been live since before a moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadObjects {
    /// Dead since before this.
    pub before: Millis,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(read: &R, query: DeadObjects) -> kv::Result<Page<ObjectView>> {
    let (start, end) = (key::dead_objects(), key::dead_before(query.before));
    let after = query.after.as_ref();
    let (pairs, next) = page::page(read, start, end, after, query.limit, 1_000).await?;
    let mut names = Vec::with_capacity(pairs.len());
    for (key, _) in &pairs {
        let (_, name) = key::dead_object_of(key).ok_or_else(|| row::bad_key(key))?;
        names.push(name);
    }
    Ok(page::of(packs::views(read, names).await?, next))
}
