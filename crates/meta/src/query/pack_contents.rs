//! The live bodies in an object.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use super::{bodies, page};
use crate::view::{BodyView, Cursor, Page};
use crate::{key, row};

/// The live bodies in an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PackContents {
    /// The object's key.
    pub key: String,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 10,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(read: &R, query: PackContents) -> kv::Result<Page<BodyView>> {
    let prefix = key::contents(&query.key);
    let after = query.after.as_ref();
    let (pairs, next) = page::prefix_page(read, prefix, after, query.limit, 10_000).await?;
    let mut ids = Vec::with_capacity(pairs.len());
    for (key, value) in &pairs {
        let content: row::Content = row::decode(key, value)?;
        ids.push(row::body_id(&content.body)?);
    }
    let views = bodies::of(read, &ids, false).await?;
    Ok(page::of(views.into_iter().flatten().collect(), next))
}
