//! The destinations that mail waits for.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::view::{Cursor, DestinationView, Page};
use crate::{directory, key, row};

/// The most destinations of a page.
const MOST: u32 = 1_000;

/// The destinations that entries of the queue wait for, by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueueDestinations {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(
    read: &R,
    query: QueueDestinations,
) -> kv::Result<Page<DestinationView>> {
    let range = directory::page(
        &key::destinations(),
        query.after.as_ref(),
        query.limit,
        MOST,
    );
    let mut rows = row::range::<row::Destination>(read, range).await?;
    let next = directory::finish(&mut rows, query.limit, MOST);
    let view = |(key, row): (bytes::Bytes, row::Destination)| {
        let name = key::destination_of(&key).ok_or_else(|| row::bad_key(&key))?;
        Ok(row.view(name))
    };
    let items = rows.into_iter().map(view).collect::<kv::Result<_>>()?;
    Ok(directory::paged(items, next))
}
