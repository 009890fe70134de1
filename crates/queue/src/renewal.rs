//! The leases of what is in hand are prolonged, as long as this node is there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postrider_meta::Error;
use postrider_meta::command::RenewQueued;
use postrider_types::QueueId;
use tokio::time::sleep;

use crate::courier::{Shared, TTL};
use crate::grip::Grip;

/// Between renewals of the leases in hand.
const RENEW_EVERY: Duration = Duration::from_secs(15);

impl Shared {
    /// Prolongs the leases of what is in hand, for ever.
    pub(crate) async fn renew(self: Arc<Self>) {
        loop {
            sleep(RENEW_EVERY).await;
            let grips = self.hands.grips();
            for grips in grips.chunks(1000) {
                if let Err(error) = self.renew_these(grips).await {
                    tracing::debug!(%error, "leases could not be renewed; it is tried again");
                }
            }
        }
    }

    async fn renew_these(&self, grips: &[Arc<Grip>]) -> Result<(), Error> {
        let leases = grips.iter().map(|grip| (grip.id, grip.lease()));
        let leases: Vec<(QueueId, u64)> = leases.collect();
        let renew = RenewQueued {
            holder: self.handles.node,
            entries: leases.clone(),
            ttl: TTL,
        };
        let asked = Instant::now();
        let (verdict, _) = self.handles.meta.run(renew).await?;
        let kept = verdict.map_err(|refusal| Error::Failed(refusal.to_string()))?;
        let kept: BTreeMap<QueueId, u64> = kept.into_iter().collect();
        for (grip, (id, lease)) in grips.iter().zip(leases) {
            match kept.get(&id) == Some(&lease) {
                true => grip.prolong(lease, asked, TTL),
                false => grip.lose(lease),
            }
        }
        Ok(())
    }
}
