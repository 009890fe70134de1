//! The queue, as administrators look through it.

use postrider_kv::{self as kv, Range, Read};
use postrider_types::Millis;
use serde::{Deserialize, Serialize};

use super::page;
use crate::view::{Cursor, Page, QueueState, QueuedView};
use crate::{key, row};

/// Entries of the queue that fit a filter, the oldest first. Looks at 5,000
/// entries at most: a page may hold fewer than asked for, or none, and others may
/// follow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queue {
    /// Which.
    pub filter: QueueFilter,
    /// The moment, for leases that have ended: their entries are shown as waiting.
    pub now: Millis,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000. An answer also ends at about 4 MiB.
    pub limit: u32,
}

/// Which entries [`Queue`] shows: those that fit all that is given. A text fits
/// where it occurs, in whatever case of ASCII letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueFilter {
    /// In the reverse-path.
    pub sender: Option<String>,
    /// In the address of a recipient.
    pub recipient: Option<String>,
    /// In the destination.
    pub destination: Option<String>,
    /// In the last error of the entry or the last reply about a recipient.
    pub error: Option<String>,
    /// The state.
    pub state: Option<StateKind>,
}

/// A [`QueueState`] without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateKind {
    /// [`QueueState::Waiting`]
    Waiting,
    /// [`QueueState::Leased`]
    Leased,
    /// [`QueueState::Held`]
    Held,
}

/// The most entries of an answer.
const MOST: usize = 1_000;
/// An answer ends when its entries occupy about this much.
const BYTES: usize = 4 * 1024 * 1024;
/// An answer ends when it has looked at this many rows.
const LOOKED_AT: usize = 5_000;
/// Rows are read in pieces of this many: one can have some 100 KiB.
const PIECE: usize = 50;

pub(super) async fn answer<R: Read>(read: &R, query: Queue) -> kv::Result<Page<QueuedView>> {
    let limit = (query.limit as usize).clamp(1, MOST);
    let filter = query.filter.lower();
    let mut range = Range::prefix(&key::queue(), PIECE);
    // A cursor of something else must not lead out of the table.
    if let Some(Cursor(last)) = &query.after
        && *last >= range.start
    {
        range = range.after(last);
    }
    let (mut items, mut bytes, mut looked_at) = (Vec::new(), 0, 0);
    loop {
        let pairs = read.range(range.clone()).await?;
        for (key, value) in &pairs {
            looked_at += 1;
            let id = key::queued_of(key).ok_or_else(|| row::bad_key(key))?;
            let mut row: row::Queued = row::decode(key, value)?;
            row.end_lease(query.now);
            if filter.fits(&row) {
                bytes += value.len();
                items.push(row.view(id)?);
            }
            if items.len() == limit || bytes >= BYTES || looked_at == LOOKED_AT {
                let more = read
                    .range(Range {
                        limit: 1,
                        ..range.after(key)
                    })
                    .await?;
                let next = (!more.is_empty()).then(|| page::cursor(key));
                return Ok(page::of(items, next));
            }
        }
        match pairs.last() {
            Some((last, _)) if pairs.len() == PIECE => range = range.after(last),
            _ => return Ok(page::of(items, None)),
        }
    }
}

impl QueueFilter {
    fn lower(self) -> Self {
        let lower = |text: Option<String>| text.map(|text| text.to_ascii_lowercase());
        Self {
            sender: lower(self.sender),
            recipient: lower(self.recipient),
            destination: lower(self.destination),
            error: lower(self.error),
            state: self.state,
        }
    }

    /// Whether an entry fits; the filter is in lower case.
    fn fits(&self, row: &row::Queued) -> bool {
        let addresses = row.recipients.iter().map(|r| &r.address);
        let replies = row.recipients.iter().filter_map(|r| r.last.as_ref());
        let state = match row.state() {
            QueueState::Waiting => StateKind::Waiting,
            QueueState::Leased { .. } => StateKind::Leased,
            QueueState::Held => StateKind::Held,
        };
        self.state.is_none_or(|wanted| wanted == state)
            && within(&self.sender, [&row.reverse_path])
            && within(&self.destination, [&row.destination])
            && within(&self.recipient, addresses)
            && within(&self.error, row.last_error.iter().chain(replies))
    }
}

/// Whether `wanted`, in lower case, occurs in any of `texts`.
fn within<'a>(wanted: &Option<String>, texts: impl IntoIterator<Item = &'a String>) -> bool {
    let Some(wanted) = wanted else { return true };
    let mut texts = texts.into_iter();
    texts.any(|text| text.to_ascii_lowercase().contains(wanted))
}
