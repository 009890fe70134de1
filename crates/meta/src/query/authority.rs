//! The authority that signs the cluster's nodes, with its key.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::{cluster, view};

/// The cluster's authority with its private key; None on a node that stands
/// alone. Where the key is not needed, ask [`super::Cluster`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Authority {}

pub(super) async fn answer<R: Read>(
    read: &R,
    _query: Authority,
) -> kv::Result<Option<view::Authority>> {
    let cluster = cluster::cluster(read).await?;
    Ok(cluster.map(|cluster| view::Authority {
        certificate: cluster.certificate,
        key: cluster.key,
    }))
}
