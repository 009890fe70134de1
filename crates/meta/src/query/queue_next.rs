//! When something is to be done about outbound mail.

use postrider_kv::{self as kv, Range, Read};
use postrider_types::Millis;
use serde::{Deserialize, Serialize};

use crate::{key, row};

/// When the next entry of the queue may be leased; None where nothing waits. Two
/// small reads, whatever the length of the queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueueNext {}

pub(super) async fn answer<R: Read>(read: &R, _query: QueueNext) -> kv::Result<Option<Millis>> {
    let turn = read.range(Range::prefix(&key::turns(), 1)).await?;
    let alarm = read.range(Range::prefix(&key::alarms(), 1)).await?;
    let turn = turn.first().map(|(key, _)| {
        let found = key::turn_of(key).map(|(moment, _)| moment);
        found.ok_or_else(|| row::bad_key(key))
    });
    let alarm = alarm
        .first()
        .map(|(key, _)| key::alarm_of(key).ok_or_else(|| row::bad_key(key)));
    Ok(turn
        .transpose()?
        .into_iter()
        .chain(alarm.transpose()?)
        .min())
}
