//! How a node is doing, for status, readiness and metrics. Only looks.

use std::time::SystemTime;

use openraft::async_runtime::watch::WatchReceiver;
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::bucket::{Bucket, BucketHealth};
use crate::membership::Member;
use crate::node::Node;

/// How a node is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// This node's id.
    pub node: u64,
    /// The leader's id, if one is known.
    pub leader: Option<u64>,
    /// This node leads.
    pub leads: bool,
    /// The current term.
    pub term: u64,
    /// The voters' ids.
    pub voters: Vec<u64>,
    /// The members; how far each has come is known to the leader alone.
    pub members: Vec<Member>,
    /// Milliseconds since a majority answered this node; only where it leads
    /// others.
    pub quorum_silent_ms: Option<u64>,
    /// How the vote in the bucket is doing, as far as this node knows; nothing where
    /// there is no object store for all nodes.
    pub bucket: Option<BucketHealth>,
    /// The index of the last entry in the log.
    pub last_log: u64,
    /// The index up to which entries are known to be committed.
    pub committed: u64,
    /// The index up to which the state has come.
    pub applied: u64,
    /// The index of the newest snapshot; none yet: nothing.
    pub snapshot: Option<u64>,
    /// Seconds since it was written or received.
    pub snapshot_age: Option<u64>,
    /// Bytes of the state on disk.
    pub state_bytes: u64,
    /// Bytes that are free on the disk under it.
    pub disk_free: u64,
    /// That is less than the reserve: it leads no more and takes no new mail.
    pub disk_low: bool,
    /// It lacks entries that it had confirmed, as the leader says: its folder is an old
    /// copy, or its disk has lost them. It gets nothing more.
    pub lacks_confirmed: bool,
    /// Commands that wait.
    pub queued: usize,
    /// Bytes of a torn write that were cut off the log at start.
    pub cut_at_start: u64,
    /// Why this node can no longer work; nothing while it can.
    pub failure: Option<String>,
}

impl Node {
    /// How it is doing.
    pub fn health(&self) -> Health {
        let core = self.core();
        let members = self.members().members;
        let metrics = core.raft.metrics().borrow_watched().clone();
        let stopped = metrics.running_state.as_ref().err();
        let stopped = stopped.map(ToString::to_string);
        let quorum = metrics.last_quorum_acked.filter(|_| members.len() > 1);
        let newest = core.shared.snapshots.newest();
        let written = newest.and_then(|stored| stored.file().metadata().ok()?.modified().ok());
        let age = written.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
        Health {
            node: core.node_id,
            leader: metrics.current_leader,
            leads: metrics.current_leader == Some(core.node_id),
            term: metrics.current_term,
            voters: metrics.membership_config.voter_ids().collect(),
            members,
            quorum_silent_ms: quorum.map(|at| {
                let silent = openraft::Instant::elapsed(&at.into_inner());
                u64::try_from(silent.as_millis()).unwrap_or(u64::MAX)
            }),
            bucket: core.bucket.as_ref().map(Bucket::health),
            last_log: metrics.last_log_index.unwrap_or(0),
            committed: metrics.cluster_committed.map_or(0, |id| id.index),
            applied: *core.shared.applied.borrow(),
            snapshot: metrics.snapshot.map(|id| id.index),
            snapshot_age: age.map(|age| age.as_secs()),
            state_bytes: core.shared.engine.disk_bytes(),
            disk_free: core.disk.free(),
            disk_low: core.disk.is_low(),
            lacks_confirmed: self.lacks_confirmed(),
            queued: self.queue().length(),
            cut_at_start: core.log.cut_at_start(),
            failure: core
                .log
                .failure()
                .or_else(|| core.shared.engine.failure())
                .or(stopped)
                .or_else(|| self.ended_task()),
        }
    }

    /// Whether it lacks entries that it had confirmed: [`Health::lacks_confirmed`].
    pub fn lacks_confirmed(&self) -> bool {
        self.core().lack.is_known()
    }

    /// A task that has ended though nobody shut the node down: it panicked.
    fn ended_task(&self) -> Option<String> {
        let sequencer = self.sequencer().lock();
        // Taken by a shutdown.
        let sequencer = sequencer.as_ref()?;
        let ended = sequencer.is_finished() || self.tasks().iter().any(JoinHandle::is_finished);
        ended.then(|| "one of its tasks has ended; the log has the panic".to_owned())
    }
}
