//! Which cluster the metadata belongs to.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::cluster;
use crate::view::ClusterView;

/// The cluster, without its authority's key; None on a node that stands alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cluster {}

pub(super) async fn answer<R: Read>(read: &R, _query: Cluster) -> kv::Result<Option<ClusterView>> {
    let cluster = cluster::cluster(read).await?;
    Ok(cluster.map(|cluster| ClusterView {
        id: cluster.id,
        certificate: cluster.certificate,
    }))
}
