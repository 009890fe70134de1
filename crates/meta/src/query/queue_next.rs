//! When something is to be done about outbound mail.

use postrider_kv::{self as kv, Read};
use postrider_types::Millis;
use serde::{Deserialize, Serialize};

use crate::queue;

/// When the next entry of the queue may be leased; None where nothing waits. Six
/// small reads, whatever the length of the queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueueNext {}

pub(super) async fn answer<R: Read>(read: &R, _query: QueueNext) -> kv::Result<Option<Millis>> {
    let firsts = queue::firsts(read, 1, 1).await?;
    let turns = firsts.turns.iter().chain(&firsts.bulk_turns);
    let turn = turns.map(|(moment, _)| *moment).min();
    let moments = [firsts.alarm, firsts.lease, turn];
    Ok(moments.into_iter().flatten().min())
}
