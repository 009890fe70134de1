//! Paging over a range of keys. A cursor is the last key that was shown.

use bytes::Bytes;
use postrider_kv::{self as kv, Pair, Range, Read};

use crate::view::{Cursor, Page};

/// The pairs from `start` to `end` (excluded) behind `after`, at most `limit`
/// (taken as 1 to `most`), and the cursor of the page behind them.
pub(super) async fn page<R: Read>(
    read: &R,
    start: Vec<u8>,
    end: Vec<u8>,
    after: Option<&Cursor>,
    limit: u32,
    most: u32,
) -> kv::Result<(Vec<Pair>, Option<Cursor>)> {
    let limit = limit.clamp(1, most) as usize;
    let mut range = Range {
        start,
        end,
        limit: limit + 1,
        reverse: false,
    };
    // A cursor of something else must not lead out of the range.
    if let Some(Cursor(last)) = after
        && *last >= range.start
    {
        range = range.after(last);
    }
    let mut pairs = read.range(range).await?;
    let more = pairs.len() > limit;
    pairs.truncate(limit);
    let next = match pairs.last() {
        Some((key, _)) if more => Some(cursor(key)),
        _ => None,
    };
    Ok((pairs, next))
}

/// [`page`] over all keys that begin with `prefix`.
pub(super) async fn prefix_page<R: Read>(
    read: &R,
    prefix: Vec<u8>,
    after: Option<&Cursor>,
    limit: u32,
    most: u32,
) -> kv::Result<(Vec<Pair>, Option<Cursor>)> {
    let end = kv::key::successor(&prefix);
    page(read, prefix, end, after, limit, most).await
}

/// The cursor behind `key`. A copy, so that it does not keep a whole batch alive.
pub(super) fn cursor(key: &[u8]) -> Cursor {
    Cursor(Bytes::copy_from_slice(key))
}

/// A page of items.
pub(super) fn of<T>(items: Vec<T>, next: Option<Cursor>) -> Page<T> {
    Page { items, next }
}
