//! Objects that waste space.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use super::page;
use crate::view::{Cursor, ObjectView, Page};
use crate::{key, row};

/// Objects with something live, less than half of their bytes, in no order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Packs {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(read: &R, query: Packs) -> kv::Result<Page<ObjectView>> {
    let after = query.after.as_ref();
    let (pairs, next) =
        page::prefix_page(read, key::half_empties(), after, query.limit, 1_000).await?;
    let names = pairs
        .iter()
        .map(|(key, _)| key::object_of(key).ok_or_else(|| row::bad_key(key)))
        .collect::<kv::Result<Vec<_>>>()?;
    Ok(page::of(views(read, names).await?, next))
}

/// The objects with these keys, as far as they are known.
pub(super) async fn views<R: Read>(read: &R, names: Vec<String>) -> kv::Result<Vec<ObjectView>> {
    let keys: Vec<_> = names.iter().map(|name| key::object(name)).collect();
    let rows = row::get_many::<row::Object>(read, &keys).await?;
    let objects = names.into_iter().zip(rows);
    Ok(objects
        .filter_map(|(name, row)| row.map(|row| row.view(name)))
        .collect())
}
