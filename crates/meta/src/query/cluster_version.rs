//! The version that the whole cluster works as.

use postrider_kv::{self as kv, Read};
use postrider_types::Version;
use serde::{Deserialize, Serialize};

use crate::version;

/// The cluster's version; 0 before the first one was set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterVersion {}

pub(super) async fn answer<R: Read>(read: &R, _query: ClusterVersion) -> kv::Result<Version> {
    version::version(read).await
}
