//! A destination that mail waits for.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::view::DestinationView;
use crate::{key, row};

/// A destination; None where no entry waits for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueueDestination {
    /// Its name.
    pub name: String,
}

pub(super) async fn answer<R: Read>(
    read: &R,
    query: QueueDestination,
) -> kv::Result<Option<DestinationView>> {
    let row: Option<row::Destination> = row::get(read, &key::destination(&query.name)).await?;
    Ok(row.map(|row| row.view(query.name)))
}
