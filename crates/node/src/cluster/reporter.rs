//! Makes this node's [`Report`]. Only looks; what takes its time is bounded, so
//! that a node without a leader still tells how it is.

use std::sync::Arc;
use std::time::Duration;

use postrider_meta_raft::{BUCKET, Health as Replica, Leader};
use postrider_types::{Clock as _, NodeId, Role, SystemClock, Versions};

use super::report::{Report, Third};
use crate::backend::Backend;
use crate::health::Health;
use crate::leases::Leases;

/// How long the look at the metadata may take: less than who asks waits.
const LOOK: Duration = Duration::from_millis(1200);

/// What a report is made from. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reporter {
    pub(crate) node: NodeId,
    pub(crate) name: Arc<str>,
    pub(crate) roles: Arc<[Role]>,
    pub(crate) versions: Versions,
    pub(crate) backend: Backend,
    pub(crate) health: Arc<Health>,
    pub(crate) leases: Leases,
}

impl Reporter {
    /// How this node is doing now.
    pub(crate) async fn report(&self) -> Report {
        let health = self.health.report_within(LOOK);
        let (health, leader) = tokio::join!(health, self.backend.leader());
        let replica = self.backend.health();
        let archiving = self.backend.archiving();
        let leader = match leader {
            Leader::Unknown => None,
            Leader::Me { .. } => Some(self.node.0),
            Leader::Other { node, .. } => Some(node),
        };
        Report {
            node: self.node.0,
            name: self.name.to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            knows: self.versions.newest.0,
            cluster_version: health.cluster_version,
            roles: self.roles.to_vec(),
            ready: health.ready,
            stopping: health.draining,
            reasons: health.reasons,
            leader,
            term: replica.as_ref().map_or(0, |replica| replica.term),
            voters: replica
                .as_ref()
                .map_or_else(Vec::new, |replica| replica.voters.clone()),
            third: replica.as_ref().and_then(third),
            applied: replica.as_ref().map(|replica| replica.applied),
            last_log: replica.as_ref().map(|replica| replica.last_log),
            snapshot: replica.as_ref().and_then(|replica| replica.snapshot),
            disk_free: replica.as_ref().map(|replica| replica.disk_free),
            disk_low: replica.as_ref().is_some_and(|replica| replica.disk_low),
            lacks_confirmed: self.backend.lacks_confirmed(),
            bucket_readable: health.bodies_readable,
            bucket_writable: health.bodies_writable,
            leases: self.leases.held(),
            archived: archiving.map(|archive| archive.entry),
            archive_lag_seconds: archiving.map(|archive| archive.lag.as_secs()),
            queue: health.queue,
            uptime_seconds: health.uptime_seconds,
            clock: SystemClock.now().0,
        }
    }
}

/// The vote in the bucket, as this node's replica knows it.
fn third(replica: &Replica) -> Option<Third> {
    let bucket = replica.bucket.as_ref()?;
    let member = replica.members.iter().find(|it| it.node == BUCKET);
    let matched = member.and_then(|member| member.matched);
    Some(Third {
        wanted: bucket.wanted,
        lag: matched.map(|matched| replica.last_log.saturating_sub(matched)),
        silent_ms: bucket.silent_ms,
        write_ms: bucket.write_ms,
        problem: bucket.problem.clone(),
        unreliable: bucket.unreliable.clone(),
    })
}
