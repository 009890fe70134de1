//! Frees what an earlier life of a node had in hand.

use bytes::Bytes;
use postrider_kv::{Range, Txn};
use postrider_types::{Millis, NodeId};
use serde::{Deserialize, Serialize};

use crate::api::Context;
use crate::queue::{Entry, Queue};
use crate::stop::Stop;
use crate::view::Cursor;
use crate::{key, limit, row};

/// Ends the leases that a program of this node held before its present one began, so
/// that nobody waits for what the dead cannot do any more. Looks at up to 1,000 leases
/// of all nodes.
///
/// The caller must know that the earlier program has ended: it holds the lock of the
/// same data folder. Leases of the present one, and of one that began later, stay, so
/// that a command that comes late does no harm; nor do clocks that were set back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FreeQueued {
    /// The node.
    pub holder: NodeId,
    /// When its present program began, by its own clock
    /// ([`super::LeaseQueued::since`]).
    pub since: Millis,
    /// Where to go on.
    pub after: Option<Cursor>,
}

/// What [`FreeQueued`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freed {
    /// How many leases it ended.
    pub freed: u32,
    /// Where to go on; None when all were looked at.
    pub next: Option<Cursor>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: FreeQueued,
) -> Result<Freed, Stop> {
    let mut range = Range::prefix(&key::lease_ends(), limit::FREED);
    // A cursor of something else must not lead out of the table.
    if let Some(Cursor(last)) = &command.after
        && *last >= range.start
    {
        range = range.after(last);
    }
    let keys = txn.range(range).await?;
    let mut queue = Queue::default();
    let mut freed = 0;
    for (key, _) in &keys {
        let id = key::queued_of(key).ok_or_else(|| row::bad_key(key))?;
        let Some(mut entry) = Entry::find(txn, id).await? else {
            continue;
        };
        let earlier = entry.row.holder_since < command.since.0;
        if entry.row.holder == Some(command.holder.0) && earlier {
            entry.row.release();
            queue.put(txn, &entry).await?;
            freed += 1;
        }
    }
    queue.save(txn).await?;
    let last = keys.last().filter(|_| keys.len() == limit::FREED);
    let next = last.map(|(key, _)| Cursor(Bytes::copy_from_slice(key)));
    Ok(Freed { freed, next })
}
