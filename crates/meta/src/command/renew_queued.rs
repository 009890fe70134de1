//! Prolongs leases of entries of the queue.

use std::time::Duration;

use postrider_kv::Txn;
use postrider_types::{NodeId, QueueId};
use serde::{Deserialize, Serialize};

use crate::api::Context;
use crate::queue::{self, Entry, Queue};
use crate::stop::Stop;
use crate::{cluster, limit};

/// Prolongs leases, for `ttl` from now. Answers those that the holder still has;
/// of the others it must let go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenewQueued {
    /// Who has them.
    pub holder: NodeId,
    /// The entries with the numbers of their leases, up to 1,000.
    pub entries: Vec<(QueueId, u64)>,
    /// How long they last, up to [`limit::LEASE_TTL`].
    pub ttl: Duration,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: RenewQueued,
) -> Result<Vec<(QueueId, u64)>, Stop> {
    queue::check_ttl(command.ttl)?;
    queue::check_count("leases", command.entries.len(), limit::RENEWED)?;
    // A node that stands alone has no row.
    if cluster::cluster(txn).await?.is_some() {
        cluster::member(txn, command.holder).await?;
    }
    let until = cx.now.after(command.ttl).0;
    let mut queue = Queue::default();
    let mut renewed = Vec::new();
    for (id, lease) in command.entries {
        let entry = Entry::leased(txn, id, lease).await?;
        let own = |entry: &Entry| entry.row.holder == Some(command.holder.0);
        if let Some(mut entry) = entry.filter(own) {
            entry.row.until = until;
            queue.put(txn, &entry).await?;
            renewed.push((id, lease));
        }
    }
    queue.save(txn).await?;
    Ok(renewed)
}
