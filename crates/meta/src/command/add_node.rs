//! Adds a node that shows a join token.

use postrider_kv::Txn;
use postrider_types::NodeId;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::view::{Authority, NewNode};
use crate::{cluster, key, limit, row, version};

/// Adds a node under a fresh id, and uses its token once. Refused to one whose
/// program does not work in the cluster's version. Nodes that have its
/// address are marked as replaced by it: their machine lost its disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddNode {
    /// BLAKE3 of the token's secret.
    pub token: [u8; 32],
    /// The node.
    pub node: NewNode,
}

/// What [`AddNode`] answers: all that is needed to sign the node's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The node's id: never given out before, and never again.
    pub node: NodeId,
    /// The cluster's id.
    pub cluster: String,
    /// The authority that signs its nodes.
    pub authority: Authority,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: AddNode,
) -> Result<Admission, Stop> {
    // The token first: who has none learns nothing.
    use_token(txn, cx, &command.token).await?;
    cluster::check_node(&command.node)?;
    version::check_node(txn, command.node.versions).await?;
    let mut cluster = cluster::existing(txn).await?;
    let last = cluster.last_node;
    let next = last
        .checked_add(1)
        .ok_or_else(|| Refusal::Limit("no node id is left".into()))?;
    let mut members = 0;
    for (id, mut node) in cluster::nodes(txn).await? {
        if !node.is_member() {
            continue;
        }
        members += 1;
        if node.address == command.node.address {
            node.replaced_by = Some(next);
            row::put(txn, key::node(id), &node);
        }
    }
    if members >= limit::NODES {
        let text = format!("a cluster has at most {} nodes", limit::NODES);
        return Err(Refusal::Limit(text).into());
    }
    cluster.last_node = next;
    row::put(txn, key::cluster(), &cluster);
    let node = row::Node::new(command.node, cx.now);
    row::put(txn, key::node(NodeId(next)), &node);
    Ok(Admission {
        node: NodeId(next),
        cluster: cluster.id,
        authority: Authority {
            certificate: cluster.certificate,
            key: cluster.key,
        },
    })
}

/// Refuses a token that is unknown, used up or too old, all in the same words.
async fn use_token<T: Txn>(txn: &mut T, cx: &Context, hash: &[u8; 32]) -> Result<(), Stop> {
    let key = key::token(hash);
    let token = row::get::<row::Token>(txn, &key).await?;
    let Some(mut token) = token.filter(|token| !token.expired(cx.now)) else {
        let text = "the join token is unknown, used up or too old: \
            make a new one with `postrider cluster token` on a running node";
        return Err(Refusal::Invalid(text.into()).into());
    };
    token.uses = token.uses.saturating_sub(1);
    match token.uses {
        0 => txn.delete(key),
        _ => row::put(txn, key, &token),
    }
    Ok(())
}
