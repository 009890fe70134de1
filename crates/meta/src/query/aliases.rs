//! Aliases.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::view::{AliasView, Cursor, Page};
use crate::{directory, key, row};

/// The most aliases of a page.
const MOST: u32 = 1000;

/// Aliases by address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Aliases {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(read: &R, query: Aliases) -> kv::Result<Page<AliasView>> {
    let range = directory::page(&key::aliases(), query.after.as_ref(), query.limit, MOST);
    let mut rows = row::range::<row::Alias>(read, range).await?;
    let next = directory::finish(&mut rows, query.limit, MOST);
    let view = |(key, alias): (bytes::Bytes, row::Alias)| {
        let targets = alias
            .targets
            .iter()
            .map(|target| directory::stored_address(target));
        Ok(AliasView {
            address: key::address_of(&key).ok_or_else(|| row::bad_key(&key))?,
            targets: targets.collect::<kv::Result<_>>()?,
        })
    };
    let items = rows.into_iter().map(view).collect::<kv::Result<_>>()?;
    Ok(directory::paged(items, next))
}
