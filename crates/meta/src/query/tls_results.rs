//! The results of outgoing TLS that wait to be reported.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use super::page;
use crate::view::{self, Cursor, Page};
use crate::{key, row};

/// The most results of a page: each may have some hundred KiB.
const MOST: u32 = 20;

/// The results of outgoing TLS by day and domain, the oldest day first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TlsResults {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 20.
    pub limit: u32,
    /// Only of this day and later ones, in days since 1970-01-01.
    pub from: u32,
    /// Only of days before this one.
    pub before: u32,
}

pub(super) async fn answer<R: Read>(
    read: &R,
    query: TlsResults,
) -> kv::Result<Page<view::TlsResults>> {
    let (start, end) = (
        key::tls_results_from(query.from),
        key::tls_results_from(query.before),
    );
    let after = query.after.as_ref();
    let (pairs, next) = page::page(read, start, end, after, query.limit, MOST).await?;
    let view = |(key, value): &kv::Pair| {
        let row: row::TlsResults = row::decode(key, value)?;
        let (day, domain) = key::tls_results_of(key).ok_or_else(|| row::bad_key(key))?;
        Ok(row.view(day, domain))
    };
    let items = pairs.iter().map(view).collect::<kv::Result<_>>()?;
    Ok(page::of(items, next))
}
