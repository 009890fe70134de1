//! What queries show of the cluster itself: its authority, nodes and leases.

use std::fmt;

use postrider_types::{Millis, NodeId, Role, Version, Versions};
use serde::{Deserialize, Serialize};

/// The certificate authority that signs the cluster's nodes. Whoever has the
/// key can add nodes: it is never logged, and `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// Its certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub key: String,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// The cluster that the metadata belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterView {
    /// Its id: 32 hexadecimal digits.
    pub id: String,
    /// The certificate of its authority, PEM.
    pub certificate: String,
}

/// What a node says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewNode {
    /// The name that it is shown under, 1 to 255 bytes; need not be unique.
    pub name: String,
    /// HOST:PORT at which the other nodes reach it.
    pub address: String,
    /// What it does: at least one role.
    pub roles: Vec<Role>,
    /// The release of the program it runs.
    pub version: String,
    /// The versions of the cluster that this program works in.
    pub versions: Versions,
}

/// A node, present or removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// The name that it is shown under.
    pub name: String,
    /// HOST:PORT at which the other nodes reach it.
    pub address: String,
    /// What it does.
    pub roles: Vec<Role>,
    /// The release of the program it last announced.
    pub version: String,
    /// When it was added.
    pub joined: Millis,
    /// When it was removed: it is refused everywhere ever after.
    pub removed: Option<Millis>,
    /// A later node with its address: its machine lost its disk and joined
    /// again, so that this one will not come back and is to be removed.
    pub replaced_by: Option<NodeId>,
    /// The versions of the cluster that its program works in.
    pub versions: Versions,
    /// Above this the cluster's version is not to be raised, as its settings say.
    pub hold: Option<Version>,
}

impl NodeView {
    /// Why the cluster's version cannot be raised to `to` as far as this node goes;
    /// None where it can.
    pub fn objection(&self, to: Version) -> Option<String> {
        let id = self.id;
        if !self.versions.include(to) {
            return Some(format!(
                "node {id} runs {}, which knows versions {} to {}",
                self.version, self.versions.oldest, self.versions.newest
            ));
        }
        let hold = self.hold.filter(|hold| *hold < to)?;
        Some(format!(
            "node {id} holds it at {hold} (meta.hold_version in its settings)"
        ))
    }
}

/// Who may do a job that one node of the cluster does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseView {
    /// The job.
    pub name: String,
    /// Who has it.
    pub holder: NodeId,
    /// Until when, by the leader's clock. To be compared with no other clock:
    /// a holder counts the lease's length from before it asked.
    pub until: Millis,
}
