//! All objects, for whoever compares them with the object store.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use super::page;
use crate::view::{Cursor, ObjectView, Page};
use crate::{key, row};

/// All objects that the metadata know, dead ones too, by their keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Objects {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(read: &R, query: Objects) -> kv::Result<Page<ObjectView>> {
    let after = query.after.as_ref();
    let (pairs, next) = page::prefix_page(read, key::objects(), after, query.limit, 1_000).await?;
    let mut items = Vec::with_capacity(pairs.len());
    for (key, value) in &pairs {
        let name = key::object_of(key).ok_or_else(|| row::bad_key(key))?;
        items.push(row::decode::<row::Object>(key, value)?.view(name));
    }
    Ok(page::of(items, next))
}
