//! Which object store belongs to this metadata.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::{key, row};

/// The id of the object store that belongs to this metadata; None before it was
/// named.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreId {}

pub(super) async fn answer<R: Read>(read: &R, _query: StoreId) -> kv::Result<Option<String>> {
    let row = row::get::<row::StoreName>(read, &key::store_name()).await?;
    Ok(row.map(|row| row.id))
}
