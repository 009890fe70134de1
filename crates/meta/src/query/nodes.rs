//! The nodes of the cluster.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::cluster;
use crate::view::NodeView;

/// All nodes by id, removed ones too. They are few, and each was let in by an
/// administrator: one answer holds them all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Nodes {}

pub(super) async fn answer<R: Read>(read: &R, _query: Nodes) -> kv::Result<Vec<NodeView>> {
    let nodes = cluster::nodes(read).await?;
    Ok(nodes.into_iter().map(|(id, node)| node.view(id)).collect())
}
