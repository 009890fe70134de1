//! Raises the version that the whole cluster works as.

use postrider_kv::Txn;
use postrider_types::Version;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::{cluster, key, row, version};

/// Raises the cluster's version to `to`: the first one to anything, later ones by
/// one at a time. Refused unless every node knows it and none holds it back; done
/// already, it is done. Never lowers it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RaiseVersion {
    /// The new version; at least 1.
    pub to: Version,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: RaiseVersion,
) -> Result<(), Stop> {
    let to = command.to;
    let present = version::version(txn).await?;
    if to <= present {
        return Ok(());
    }
    if present > Version(0) && to != present.next() {
        let text = format!("the cluster's version is {present}; it is raised by one at a time");
        return Err(Refusal::Invalid(text).into());
    }
    for (id, node) in cluster::nodes(txn).await? {
        if node.is_member()
            && let Some(objection) = node.view(id).objection(to)
        {
            return Err(Refusal::InUse(objection).into());
        }
    }
    let row = row::ClusterVersion {
        version: to.0,
        raised: cx.now.0,
    };
    row::put(txn, key::version(), &row);
    Ok(())
}
