//! A host of its own for a node: a network namespace with an address.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a node runs, and what its settings say of it.
#[derive(Clone, Debug)]
pub struct Host {
    /// The network namespace, as `ip netns` names it.
    pub namespace: String,
    /// Its address, on which the node listens at the standard ports.
    pub address: IpAddr,
    /// The node's folder; `data` in it is there already and may be a mount of its own.
    pub dir: PathBuf,
    /// Sections for its settings file alone.
    pub settings: String,
    /// The node's environment.
    pub environment: Vec<(String, String)>,
    /// From where clients come with a PROXY header.
    pub balancer: IpAddr,
    /// Whose certificates clients trust (PEM).
    pub authority: Arc<[u8]>,
}
