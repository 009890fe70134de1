//! The queue at a glance.

use postrider_kv::{self as kv, Range, Read};
use postrider_types::Millis;
use serde::{Deserialize, Serialize};

use crate::key::{self, QueueCount};
use crate::row;
use crate::view;

/// How much waits in the queue, and how long.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueueStats {}

pub(super) async fn answer<R: Read>(read: &R, _query: QueueStats) -> kv::Result<view::QueueStats> {
    let first = row::range::<row::Queued>(read, Range::prefix(&key::queue(), 1)).await?;
    Ok(view::QueueStats {
        entries: row::counter(read, &key::queue_count(QueueCount::Entries)).await?,
        held: row::counter(read, &key::queue_count(QueueCount::Held)).await?,
        // Ids ascend.
        oldest: first.first().map(|(_, row)| Millis(row.created)),
        destinations: row::counter(read, &key::queue_count(QueueCount::Destinations)).await?,
    })
}
