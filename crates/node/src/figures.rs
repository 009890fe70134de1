//! The gauges that only a look can tell, set whenever somebody asks for `/metrics`: so
//! they cost nothing where nobody does.

use std::sync::Arc;

use metrics::gauge;
use parking_lot::Mutex;
use postrider_meta_raft::Health as Replica;
use postrider_net::Tls;

use crate::backend::Backend;
use crate::cluster::Cluster;
use crate::health::Health;
use crate::telemetry;

/// What the gauges are read from.
pub(crate) struct Figures {
    pub(crate) health: Arc<Health>,
    pub(crate) backend: Backend,
    pub(crate) cluster: Option<Arc<Cluster>>,
    /// The certificates of all listeners.
    pub(crate) certificates: Vec<Tls>,
    /// Bytes of bodies that may wait to be packed.
    pub(crate) inline_limit: u64,
    /// Voters whose lag was told while this node led.
    pub(crate) told: Mutex<Vec<u64>>,
}

impl Figures {
    /// Sets all of them.
    pub(crate) async fn observe(&self) {
        telemetry::observe_process();
        gauge!("postrider_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        gauge!("postrider_body_inline_limit_bytes").set(self.inline_limit as f64);
        for tls in &self.certificates {
            if let Some(validity) = tls.validity() {
                let file = tls.settings().certificate.display().to_string();
                gauge!("postrider_certificate_expires_timestamp_seconds", "file" => file)
                    .set(validity.until as f64);
            }
        }
        self.health.observe().await;
        if let Some(replica) = self.backend.health() {
            self.observe_replica(&replica);
        }
        if let Some(cluster) = &self.cluster {
            // All nodes are asked for it: once, by the leader.
            let leads = self.backend.health().is_some_and(|replica| replica.leads);
            let safe = leads && cluster.status().await.safe;
            gauge!("postrider_cluster_safe").set(f64::from(u8::from(safe)));
        }
    }

    fn observe_replica(&self, replica: &Replica) {
        gauge!("postrider_raft_leader").set(f64::from(u8::from(replica.leads)));
        gauge!("postrider_raft_term").set(replica.term as f64);
        let lags = |of: &u64| {
            let member = replica.members.iter().find(|member| member.node == *of);
            let lag =
                member.and_then(|member| Some(replica.last_log.saturating_sub(member.matched?)));
            // One that has not answered since this node leads has nothing for sure.
            lag.unwrap_or(replica.last_log)
        };
        let voters = if replica.leads {
            &replica.voters[..]
        } else {
            &[]
        };
        let mut told = self.told.lock();
        // What is told once stays: of those that are no business of this node any more, nothing.
        for gone in told.iter().filter(|node| !voters.contains(node)) {
            gauge!("postrider_raft_voter_lag_entries", "node" => gone.to_string()).set(0.0);
        }
        for voter in voters {
            gauge!("postrider_raft_voter_lag_entries", "node" => voter.to_string())
                .set(lags(voter) as f64);
        }
        told.clear();
        told.extend(voters);
    }
}
