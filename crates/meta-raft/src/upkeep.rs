//! What a node does by itself beside Raft, each as a task until it ends: knows
//! whether a majority answers, has snapshots written.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::leader::Core;
use crate::reads::Reads;
use crate::standing::Standing;

/// How long a snapshot waits for the archive to take what it cuts off the log.
const GATHER: Duration = Duration::from_secs(5);

/// Knows whether a majority answers this node.
pub(crate) async fn keep_standing(standing: Arc<Standing>, core: Arc<Core>, reads: Arc<Reads>) {
    let probe = || async {
        // Who is not among any members yet has no majority to miss.
        let waits = core.membership().voter_ids().next().is_none();
        match waits || core.leads_alone().is_some() {
            true => Ok(()),
            false => reads.index().await.map(drop),
        }
    };
    standing
        .keep(probe, || core.shared.watchers.notify_all())
        .await;
}

/// Has a snapshot written whenever one is due.
pub(crate) async fn take_snapshots(core: Arc<Core>) {
    loop {
        core.shared.growth.due.notified().await;
        // A snapshot cuts the log: what the archive lacks would be gone.
        let applied = *core.shared.applied.borrow();
        let mut gathered = core.gathered.subscribe();
        let _ = timeout(GATHER, gathered.wait_for(|entry| *entry >= applied)).await;
        if let Err(error) = core.raft.trigger().snapshot().await {
            tracing::warn!(%error, "no snapshot");
            return;
        }
    }
}
