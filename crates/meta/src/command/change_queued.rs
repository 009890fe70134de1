//! What administrators do to entries of the queue.

use std::collections::BTreeSet;

use postrider_kv::Txn;
use postrider_types::QueueId;
use serde::{Deserialize, Serialize};

use crate::api::Context;
use crate::body::References;
use crate::queue::{self, Entry, Queue};
use crate::stop::Stop;
use crate::view::{Event, EventKind, QueueState};
use crate::{history, limit, row};

/// Changes entries of the queue. Answers how many; passes over those that are not
/// there, or are so already.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeQueued {
    /// Which, up to 1,000.
    pub ids: Vec<QueueId>,
    /// How.
    pub change: QueueChange,
}

/// What [`ChangeQueued`] does to an entry. Each is told in the message's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueChange {
    /// Due now, and its destination rests no longer. Passes over what is held or
    /// in hand.
    Retry,
    /// Held: neither tried nor expired. A lease is void at once: what its holder
    /// tells about it is refused, so that a message that is handed over in this
    /// moment is sent again after the release.
    Hold,
    /// Held no longer: due when it was, and expires when it did.
    Release,
    /// Removed, with nobody told. A lease is void at once.
    Remove,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: ChangeQueued,
) -> Result<u32, Stop> {
    queue::check_count("queued messages", command.ids.len(), limit::CHANGED)?;
    let ids: BTreeSet<QueueId> = command.ids.into_iter().collect();
    let mut queue = Queue::default();
    let mut references = References::default();
    let mut changed = 0;
    for id in ids {
        let Some(mut entry) = Entry::find(txn, id).await? else {
            continue;
        };
        let body = entry.row.body_id()?;
        let kind = match command.change {
            QueueChange::Remove => {
                queue.remove(txn, &entry).await?;
                references.count(body);
                EventKind::Removed
            }
            change => {
                let Some(kind) = change_row(&mut entry.row, cx, change) else {
                    continue;
                };
                queue.put(txn, &entry).await?;
                kind
            }
        };
        let name = entry.row.destination;
        if command.change == QueueChange::Retry {
            queue.destination(txn, &name).await?.not_before = None;
        }
        let event = Event {
            at: cx.now,
            node: None,
            kind,
            recipient: None,
            host: Some(name),
            reply: None,
        };
        history::append(txn, body, [event]).await?;
        changed += 1;
    }
    queue.save(txn).await?;
    references.drop(txn, cx.latest).await?;
    Ok(changed)
}

/// Changes an entry that stays; None where there is nothing to change.
fn change_row(row: &mut row::Queued, cx: &Context, change: QueueChange) -> Option<EventKind> {
    match change {
        QueueChange::Retry => {
            row.end_lease(cx.now);
            if row.state() != QueueState::Waiting {
                return None;
            }
            row.due = cx.now.0;
            Some(EventKind::Retried)
        }
        QueueChange::Hold if !row.held => {
            row.release();
            row.lease += 1;
            row.held = true;
            Some(EventKind::Held)
        }
        QueueChange::Release if row.held => {
            row.held = false;
            Some(EventKind::Released)
        }
        QueueChange::Hold | QueueChange::Release | QueueChange::Remove => None,
    }
}
