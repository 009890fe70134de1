//! Entries of the queue by id.

use postrider_kv::{self as kv, Read};
use postrider_types::QueueId;
use serde::{Deserialize, Serialize};

use crate::view::QueuedView;
use crate::{key, limit, row};

/// Entries of the queue by id, in the order asked; None for those that are not
/// there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queued {
    /// Which, at most 100: an entry can be large.
    pub ids: Vec<QueueId>,
}

pub(super) async fn answer<R: Read>(
    read: &R,
    query: Queued,
) -> kv::Result<Vec<Option<QueuedView>>> {
    let ids = query.ids.get(..limit::LEASED).unwrap_or(&query.ids);
    let keys: Vec<_> = ids.iter().map(|id| key::queued(*id)).collect();
    let rows = row::get_many::<row::Queued>(read, &keys).await?;
    let views = ids.iter().zip(rows);
    let mut views = views
        .map(|(id, row)| row.map(|row| row.view(*id)).transpose())
        .collect::<kv::Result<Vec<_>>>()?;
    views.resize(query.ids.len(), None);
    Ok(views)
}
