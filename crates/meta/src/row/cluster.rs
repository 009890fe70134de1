//! Rows of the cluster itself: its authority, nodes, join tokens and leases.

use bytes::Bytes;
use postrider_kv as kv;
use postrider_types::{Millis, NodeId, Role, Version, Versions};

use crate::view::{LeaseView, NewNode, NodeView};

/// The cluster. There is one such row, or none on a node that stands alone.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Cluster {
    /// Its id: 32 hexadecimal digits.
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    /// The certificate of its authority, PEM.
    #[prost(string, tag = "2")]
    pub(crate) certificate: String,
    /// The authority's private key, PEM.
    #[prost(string, tag = "3")]
    pub(crate) key: String,
    /// The last node id that was given out.
    #[prost(uint64, tag = "4")]
    pub(crate) last_node: u64,
}

/// A node. Stays when it is removed.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Node {
    /// The name that it is shown under.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// HOST:PORT.
    #[prost(string, tag = "2")]
    pub(crate) address: String,
    /// As the settings write them.
    #[prost(string, repeated, tag = "3")]
    pub(crate) roles: Vec<String>,
    /// The version of the program it runs.
    #[prost(string, tag = "4")]
    pub(crate) version: String,
    /// When it was added.
    #[prost(uint64, tag = "5")]
    pub(crate) joined: u64,
    /// When it was removed.
    #[prost(uint64, optional, tag = "6")]
    pub(crate) removed: Option<u64>,
    /// A later node with its address.
    #[prost(uint64, optional, tag = "7")]
    pub(crate) replaced_by: Option<u64>,
    /// The oldest version of the cluster that its program works in.
    #[prost(uint32, tag = "8")]
    pub(crate) oldest: u32,
    /// The newest one.
    #[prost(uint32, tag = "9")]
    pub(crate) newest: u32,
    /// The cluster's version is not to be raised above this.
    #[prost(uint32, optional, tag = "10")]
    pub(crate) hold: Option<u32>,
}

impl Node {
    /// A node that joins now.
    pub(crate) fn new(node: NewNode, now: Millis) -> Self {
        Self {
            roles: role_words(&node.roles),
            name: node.name,
            address: node.address,
            version: node.version,
            joined: now.0,
            removed: None,
            replaced_by: None,
            oldest: node.versions.oldest.0,
            newest: node.versions.newest.0,
            hold: None,
        }
    }

    /// Whether it was not removed.
    pub(crate) fn is_member(&self) -> bool {
        self.removed.is_none()
    }

    /// Whether it holds a replica of the metadata that a cluster can live by, as far as
    /// it is still there: a witness serves nobody.
    pub(crate) fn holds_metadata(&self) -> bool {
        let meta = Role::Meta.as_str();
        self.is_member() && self.replaced_by.is_none() && self.roles.iter().any(|r| r == meta)
    }

    /// The node as queries show it. Roles that this version does not know are
    /// left out.
    pub(crate) fn view(self, id: NodeId) -> NodeView {
        NodeView {
            id,
            roles: self.roles.iter().filter_map(|r| r.parse().ok()).collect(),
            name: self.name,
            address: self.address,
            version: self.version,
            joined: Millis(self.joined),
            removed: self.removed.map(Millis),
            replaced_by: self.replaced_by.map(NodeId),
            versions: Versions {
                oldest: Version(self.oldest),
                newest: Version(self.newest),
            },
            hold: self.hold.map(Version),
        }
    }
}

/// The version that all nodes obey. None before the first one was set.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct ClusterVersion {
    /// At least 1.
    #[prost(uint32, tag = "1")]
    pub(crate) version: u32,
    /// When it was raised to that.
    #[prost(uint64, tag = "2")]
    pub(crate) raised: u64,
}

/// Roles as rows hold them.
pub(crate) fn role_words(roles: &[Role]) -> Vec<String> {
    Role::ALL
        .iter()
        .filter(|role| roles.contains(role))
        .map(ToString::to_string)
        .collect()
}

/// What all nodes derive keys from.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Secret {
    /// 32 random bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) secret: Bytes,
}

/// A join token, under the hash of its secret.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Token {
    /// From this moment on it is no good.
    #[prost(uint64, tag = "1")]
    pub(crate) expires: u64,
    /// How often it may still be used; never zero.
    #[prost(uint32, tag = "2")]
    pub(crate) uses: u32,
}

impl Token {
    /// Whether its time is up.
    pub(crate) fn expired(&self, now: Millis) -> bool {
        self.expires <= now.0
    }
}

/// Who may do a job, and until when.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Lease {
    /// A node.
    #[prost(uint64, tag = "1")]
    pub(crate) holder: u64,
    /// By the leader's clock.
    #[prost(uint64, tag = "2")]
    pub(crate) until: u64,
}

impl Lease {
    /// Whether its time is up.
    pub(crate) fn expired(&self, now: Millis) -> bool {
        self.until <= now.0
    }

    /// The lease as queries show it.
    pub(crate) fn view(&self, key: &[u8]) -> kv::Result<LeaseView> {
        Ok(LeaseView {
            name: crate::key::lease_of(key).ok_or_else(|| super::bad_key(key))?,
            holder: NodeId(self.holder),
            until: Millis(self.until),
        })
    }
}
