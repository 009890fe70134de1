//! Who does the jobs that one node of the cluster does.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::cluster;
use crate::view::LeaseView;

/// All leases by name, also those that have run out and nobody took since.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Leases {}

pub(super) async fn answer<R: Read>(read: &R, _query: Leases) -> kv::Result<Vec<LeaseView>> {
    let leases = cluster::leases(read).await?;
    leases.iter().map(|(key, lease)| lease.view(key)).collect()
}
