//! The values of `postrider cluster status`: what a node tells of itself, and
//! what is known of all of them. Between nodes, for the administration API and
//! for the command line.

use postrider_types::Role;
use serde::{Deserialize, Serialize};

use crate::admin::api::Stats;

/// What a node tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Report {
    /// Its id.
    pub(crate) node: u64,
    /// The name that it is shown under.
    pub(crate) name: String,
    /// The program's release.
    pub(crate) version: String,
    /// The newest version of the cluster that the program knows.
    pub(crate) knows: u32,
    /// The cluster's version as it sees it; absent where the metadata do not answer.
    pub(crate) cluster_version: Option<u32>,
    /// What it does.
    pub(crate) roles: Vec<Role>,
    /// Whether it serves.
    pub(crate) ready: bool,
    /// It was told to stop.
    pub(crate) stopping: bool,
    /// Why it is not ready, or serves only in part.
    pub(crate) reasons: Vec<String>,
    /// Who leads, as far as it knows.
    pub(crate) leader: Option<u64>,
    /// In which term; 0 where it holds no metadata.
    pub(crate) term: u64,
    /// Who votes, as far as it knows.
    pub(crate) voters: Vec<u64>,
    /// How the vote in the bucket is doing, as it knows; nothing where it holds no
    /// metadata or shares no object store.
    pub(crate) third: Option<Third>,
    /// The last entry that it has applied; nothing where it holds no metadata.
    pub(crate) applied: Option<u64>,
    /// The last entry in its log.
    pub(crate) last_log: Option<u64>,
    /// The last entry in its newest snapshot.
    pub(crate) snapshot: Option<u64>,
    /// Bytes that are free on the disk under the metadata, if it holds any.
    pub(crate) disk_free: Option<u64>,
    /// That is less than `meta.disk_reserve`.
    pub(crate) disk_low: bool,
    /// It lacks entries that it had confirmed: its data folder is an old copy, or its
    /// disk has lost them.
    pub(crate) lacks_confirmed: bool,
    /// The object store gives objects.
    pub(crate) bucket_readable: bool,
    /// The object store takes objects.
    pub(crate) bucket_writable: bool,
    /// The work for all nodes that it does now.
    pub(crate) leases: Vec<String>,
    /// The last entry that is archived in the bucket; absent where another node archives.
    pub(crate) archived: Option<u64>,
    /// Seconds for which something has waited to be archived in the bucket; absent
    /// where another node archives.
    pub(crate) archive_lag_seconds: Option<u64>,
    /// What waits to be sent, in the whole cluster; absent where the metadata do not
    /// answer.
    pub(crate) queue: Option<Stats>,
    /// Seconds since it started.
    pub(crate) uptime_seconds: u64,
    /// Its clock: Unix milliseconds.
    pub(crate) clock: u64,
}

/// The vote in the bucket, as a node knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Third {
    /// It is wanted where two nodes vote.
    pub(crate) wanted: bool,
    /// Entries that the leader has and the bucket lacks; only the leader knows.
    pub(crate) lag: Option<u64>,
    /// Milliseconds since the bucket last answered the node.
    pub(crate) silent_ms: Option<u64>,
    /// How long a small write took when the bucket was tried, in milliseconds.
    pub(crate) write_ms: Option<u64>,
    /// Why it has no vote, or cannot give it.
    pub(crate) problem: Option<String>,
    /// Why the node does not rely on the store, as it has found out by trying.
    pub(crate) unreliable: Option<String>,
}

/// One node as the cluster sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    /// Its id.
    pub(crate) node: u64,
    /// The name that it is shown under.
    pub(crate) name: String,
    /// HOST:PORT at which the others reach it.
    pub(crate) address: String,
    /// What it does.
    pub(crate) roles: Vec<Role>,
    /// The program's release, as it last said.
    pub(crate) version: String,
    /// The newest version of the cluster that the program knows.
    pub(crate) knows: u32,
    /// It has a vote.
    pub(crate) voter: bool,
    /// Entries that the leader has and it has not applied; absent: not known.
    pub(crate) lag: Option<u64>,
    /// What it tells of itself; absent where it does not answer.
    pub(crate) report: Option<Report>,
    /// Why it does not answer.
    pub(crate) unreachable: Option<String>,
}

impl Node {
    /// Whether it does what `role` says.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether it is to have a vote.
    pub(crate) fn shall_vote(&self) -> bool {
        self.roles.iter().any(|role| role.votes())
    }

    /// How it is called in sentences.
    pub(crate) fn title(&self) -> String {
        format!("node {} ({})", self.node, self.address)
    }
}

/// The vote in the bucket, as the cluster sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vote {
    /// It votes now.
    pub(crate) votes: bool,
    /// What the leader knows of it.
    #[serde(flatten)]
    pub(crate) told: Third,
}

impl Vote {
    /// Whether it helps to a majority.
    pub(crate) fn fit(&self) -> bool {
        self.votes && self.told.problem.is_none()
    }
}

/// The cluster as one of its nodes sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The cluster's id.
    pub(crate) cluster: String,
    /// The node that was asked.
    pub(crate) asked: u64,
    /// Who leads; absent: nobody.
    pub(crate) leader: Option<u64>,
    /// In which term.
    pub(crate) term: u64,
    /// The vote in the bucket, as the leader knows it; absent where it has none and
    /// needs none.
    pub(crate) third: Option<Vote>,
    /// The version that all nodes obey; absent: not known, or none yet.
    pub(crate) cluster_version: Option<u32>,
    /// All nodes but removed ones.
    pub(crate) nodes: Vec<Node>,
    /// Whether any one node may fail now.
    pub(crate) safe: bool,
    /// The same in words, with what to do if not.
    pub(crate) verdict: String,
    /// What else to look at.
    pub(crate) notes: Vec<String>,
}
