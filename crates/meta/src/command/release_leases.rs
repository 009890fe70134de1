//! Gives back jobs that one node of the cluster does.

use postrider_kv::Txn;
use postrider_types::NodeId;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::{key, limit, row};

/// Gives back leases, so that others need not wait for their end. Those that
/// are not the holder's stay as they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReleaseLeases {
    /// Who had them.
    pub holder: NodeId,
    /// The jobs, up to 100.
    pub names: Vec<String>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: ReleaseLeases,
) -> Result<(), Stop> {
    if command.names.len() > limit::LEASES {
        let most = limit::LEASES;
        let text = format!("at most {most} leases can be given back at once");
        return Err(Refusal::Limit(text).into());
    }
    let keys: Vec<_> = command.names.iter().map(|name| key::lease(name)).collect();
    let leases = row::get_many::<row::Lease>(txn, &keys).await?;
    for (key, lease) in keys.into_iter().zip(leases) {
        if lease.is_some_and(|lease| lease.holder == command.holder.0) {
            txn.delete(key);
        }
    }
    Ok(())
}
