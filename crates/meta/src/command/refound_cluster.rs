//! Makes metadata that were restored from an archive those of a new cluster.

use postrider_kv::Txn;
use postrider_types::NodeId;
use serde::{Deserialize, Serialize};

use super::found_cluster::check_identity;
use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::view::{Authority, NewNode};
use crate::{cluster, key, row};

/// Makes the cluster another one, of one node: with a new id, a new authority and
/// another id of its object store. Its nodes of before are removed, what they held
/// is free, join tokens are no good any more. Answers the new node's id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefoundCluster {
    /// The new cluster's id: 32 hexadecimal digits, not those of the present one.
    pub id: String,
    /// The authority that signs its nodes.
    pub authority: Authority,
    /// Its first node.
    pub node: NewNode,
    /// The id that its object store gets: 32 hexadecimal digits.
    pub store: String,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: RefoundCluster,
) -> Result<NodeId, Stop> {
    check_identity(&command.id, &command.authority)?;
    super::name_store::check(&command.store)?;
    cluster::check_node(&command.node)?;
    let present = cluster::existing(txn).await?;
    if present.id == command.id {
        return Err(Refusal::Exists(format!("the cluster {}", present.id)).into());
    }
    let last = present.last_node;
    let next = last.checked_add(1).filter(|next| *next < u64::MAX);
    let next = next.ok_or_else(|| Refusal::Limit("no node id is left".into()))?;
    for (id, node) in cluster::nodes(txn).await? {
        if node.is_member() {
            let removed = row::Node {
                removed: Some(cx.now.0),
                replaced_by: None,
                ..node
            };
            row::put(txn, key::node(id), &removed);
        }
    }
    for (key, _) in cluster::leases(txn).await? {
        txn.delete(key.to_vec());
    }
    for (key, _) in cluster::tokens(txn).await? {
        txn.delete(key.to_vec());
    }
    let cluster = row::Cluster {
        id: command.id,
        certificate: command.authority.certificate,
        key: command.authority.key,
        last_node: next,
    };
    row::put(txn, key::cluster(), &cluster);
    let node = row::Node::new(command.node, cx.now);
    row::put(txn, key::node(NodeId(next)), &node);
    row::put(
        txn,
        key::store_name(),
        &row::StoreName { id: command.store },
    );
    Ok(NodeId(next))
}
