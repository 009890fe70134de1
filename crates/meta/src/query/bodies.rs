//! Bodies by id.

use postrider_kv::{self as kv, Read};
use postrider_types::BodyId;
use serde::{Deserialize, Serialize};

use crate::view::BodyView;
use crate::{key, row};

/// Bodies by id, in the order asked; None for unknown ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bodies {
    /// Which, at most 1,000.
    pub ids: Vec<BodyId>,
    /// With the bytes of inline ones.
    pub inline: bool,
}

pub(super) async fn answer<R: Read>(read: &R, query: Bodies) -> kv::Result<Vec<Option<BodyView>>> {
    let ids = query.ids.get(..MOST).unwrap_or(&query.ids);
    let mut views = of(read, ids, query.inline).await?;
    views.resize(query.ids.len(), None);
    Ok(views)
}

/// The most bodies of an answer; further ones are not looked up.
const MOST: usize = 1_000;

/// The bodies with these ids, in their order.
pub(super) async fn of<R: Read>(
    read: &R,
    ids: &[BodyId],
    inline: bool,
) -> kv::Result<Vec<Option<BodyView>>> {
    let keys: Vec<_> = ids.iter().map(|id| key::body(*id)).collect();
    let rows = row::get_many::<row::Body>(read, &keys).await?;
    let wants = |row: &Option<row::Body>| inline && row.as_ref().is_some_and(|r| r.is_inline());
    let keys: Vec<_> = ids
        .iter()
        .zip(&rows)
        .filter(|(_, row)| wants(row))
        .map(|(id, _)| key::inline(*id))
        .collect();
    let mut bytes = read.get_many(&keys).await?.into_iter();
    let mut views = Vec::with_capacity(rows.len());
    for (id, row) in ids.iter().zip(rows) {
        let bytes = match wants(&row) {
            true => bytes.next().flatten(),
            false => None,
        };
        views.push(row.map(|row| row.view(*id, bytes)).transpose()?);
    }
    Ok(views)
}
