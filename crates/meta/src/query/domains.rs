//! Local domains.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::view::{Cursor, DomainView, Page};
use crate::{directory, key, row};

/// The most domains of a page.
const MOST: u32 = 1000;

/// Local domains by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Domains {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(read: &R, query: Domains) -> kv::Result<Page<DomainView>> {
    let range = directory::page(&key::domains(), query.after.as_ref(), query.limit, MOST);
    let mut rows = row::range::<row::Domain>(read, range).await?;
    let next = directory::finish(&mut rows, query.limit, MOST);
    let mut items = Vec::with_capacity(rows.len());
    for (key, domain) in rows {
        let name = key::domain_of(&key).ok_or_else(|| row::bad_key(&key))?;
        items.push(super::domain::view(read, name, domain).await?);
    }
    Ok(directory::paged(items, next))
}
