//! Takes a node out of the cluster for ever.

use postrider_kv::Txn;
use postrider_types::NodeId;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::{cluster, key, row};

/// Removes a node: every other one refuses it from then on, and its leases are
/// free. A node whose place it was to take stays for good. Removing it again changes
/// nothing. Refused for the last node that holds metadata, beside which witnesses do
/// not count. Its membership in the Raft group is another matter, and ends before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveNode {
    /// The node.
    pub id: NodeId,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: RemoveNode,
) -> Result<(), Stop> {
    let nodes = cluster::nodes(txn).await?;
    let found = nodes.iter().find(|(id, _)| *id == command.id);
    let missing = || Refusal::NotFound(format!("node {} in this cluster", command.id));
    let (_, node) = found.ok_or_else(missing)?;
    if !node.is_member() {
        return Ok(());
    }
    let without = |node: &row::Node| row::Node {
        replaced_by: node.replaced_by.filter(|by| *by != command.id.0),
        ..node.clone()
    };
    let another = nodes
        .iter()
        .any(|(id, node)| *id != command.id && without(node).holds_metadata());
    if node.holds_metadata() && !another {
        let text = format!(
            "node {} is the only one that holds metadata: let another one join first",
            command.id
        );
        return Err(Refusal::InUse(text).into());
    }
    let removed = row::Node {
        removed: Some(cx.now.0),
        ..node.clone()
    };
    row::put(txn, key::node(command.id), &removed);
    for (id, other) in &nodes {
        if other.is_member() && other.replaced_by == Some(command.id.0) {
            row::put(txn, key::node(*id), &without(other));
        }
    }
    for (key, lease) in cluster::leases(txn).await? {
        if lease.holder == command.id.0 {
            txn.delete(key.to_vec());
        }
    }
    Ok(())
}
