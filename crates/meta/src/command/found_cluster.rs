//! Makes the metadata of a node that stood alone those of a cluster.

use postrider_kv::Txn;
use postrider_types::NodeId;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::view::{Authority, NewNode};
use crate::{cluster, key, row};

/// The most bytes of a PEM text.
const MAX_PEM: usize = 16 * 1024;

/// Founds the cluster with its first node. Once: refused ever after.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FoundCluster {
    /// The cluster's id: 32 hexadecimal digits.
    pub id: String,
    /// The authority that signs its nodes.
    pub authority: Authority,
    /// The first node.
    pub node: NewNode,
    /// The first node's id, which is also its Raft id; later ones are higher.
    pub node_id: NodeId,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: FoundCluster,
) -> Result<(), Stop> {
    check(&command)?;
    if let Some(present) = cluster::cluster(txn).await? {
        return Err(Refusal::Exists(format!("the cluster {}", present.id)).into());
    }
    let cluster = row::Cluster {
        id: command.id,
        certificate: command.authority.certificate,
        key: command.authority.key,
        last_node: command.node_id.0,
    };
    row::put(txn, key::cluster(), &cluster);
    let node = row::Node::new(command.node, cx.now);
    row::put(txn, key::node(command.node_id), &node);
    Ok(())
}

fn check(command: &FoundCluster) -> Result<(), Refusal> {
    check_identity(&command.id, &command.authority)?;
    // The last id of all would leave none for the next node.
    if command.node_id.0 == 0 || command.node_id.0 == u64::MAX {
        return Err(Refusal::Invalid("node ids start from 1".into()));
    }
    cluster::check_node(&command.node)
}

/// Refuses what no cluster could be known by.
pub(super) fn check_identity(id: &str, authority: &Authority) -> Result<(), Refusal> {
    if id.len() != 32 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        let text = "the id of a cluster has 32 hexadecimal digits";
        return Err(Refusal::Invalid(text.into()));
    }
    let pem = |text: &str| text.starts_with("-----BEGIN ") && text.len() <= MAX_PEM;
    if !pem(&authority.certificate) || !pem(&authority.key) {
        let text = "the authority of a cluster is a certificate and a key in PEM";
        return Err(Refusal::Invalid(text.into()));
    }
    Ok(())
}
