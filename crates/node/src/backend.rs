//! Where this node's metadata are: a replica of its own, or other nodes'. The
//! one place of the program that tells the two apart.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use postrider_blob::Store;
use postrider_meta::{Error, Meta};
use postrider_meta_raft::{Archive, Archiving, Health, Leader, Members, Node, Remote};
use postrider_rpc::{Channels, Failure};
use postrider_types::{NodeId, SystemClock};
use tokio::time::timeout;

use crate::cluster::Identity;
use crate::settings::Settings;

/// How long other nodes may take to say who leads.
const ASKED: Duration = Duration::from_secs(1);
/// Between looks at who leads.
const LOOK: Duration = Duration::from_millis(500);

/// A metadata backend. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Backend {
    /// A replica.
    Replica(Arc<Node>),
    /// None: the nodes with metadata are asked.
    Remote(Remote),
}

impl Backend {
    /// Opens the replica, or makes the client. `identity` is None for a node
    /// that stands alone.
    pub(crate) async fn start(
        settings: &Settings,
        identity: Option<&Identity>,
        channels: Channels,
        blobs: &Arc<Store>,
    ) -> anyhow::Result<Self> {
        let mut metadata = settings.metadata();
        let mut archive = None;
        if let (Some(identity), Some(cluster)) = (identity, &settings.cluster) {
            let facts = &identity.facts;
            if !settings.votes() {
                let seeds = facts.members.clone();
                let timeout = metadata.timeout;
                return Ok(Self::Remote(Remote::new(channels, seeds, timeout)));
            }
            metadata.node_id = facts.node.0;
            metadata.address = cluster.address.clone();
            // The founder's replica is there; all others are added to it.
            metadata.bootstrap = false;
            if facts.begun && !Node::exists(&metadata.dir) {
                // It has forgotten what it acknowledged, so it must not vote again
                // under its id.
                bail!(
                    "the metadata of node {} are missing: {} holds none. Is the disk mounted, and \
                     meta.dir right? If they are lost, run `postrider cluster rejoin` here: it \
                     takes its place anew, and gets all from the others",
                    facts.node,
                    metadata.dir.display(),
                );
            }
            let archived = || Archive::new(blobs.clone(), &facts.cluster);
            archive = (!settings.is_witness()).then(archived);
        }
        crate::dir::make_private(&metadata.dir)?;
        let node = Node::start(metadata, Arc::new(SystemClock), channels, archive).await;
        Ok(Self::Replica(
            node.context("cannot open the metadata store")?,
        ))
    }

    /// The metadata.
    pub(crate) fn meta(&self) -> Arc<dyn Meta> {
        match self {
            Self::Replica(node) => node.clone(),
            Self::Remote(remote) => Arc::new(remote.clone()),
        }
    }

    /// The replica, if there is one.
    pub(crate) fn replica(&self) -> Option<&Arc<Node>> {
        match self {
            Self::Replica(node) => Some(node),
            Self::Remote(_) => None,
        }
    }

    /// How the replica is doing, if there is one.
    pub(crate) fn health(&self) -> Option<Health> {
        self.replica().map(|node| node.health())
    }

    /// Whether the replica lacks what it had confirmed.
    pub(crate) fn lacks_confirmed(&self) -> bool {
        self.replica().is_some_and(|node| node.lacks_confirmed())
    }

    /// How the archive in the bucket is doing, where this node keeps it.
    pub(crate) fn archiving(&self) -> Option<Archiving> {
        self.replica()?.archiving()
    }

    /// Who leads, as far as is known.
    pub(crate) async fn leader(&self) -> Leader {
        match self {
            Self::Replica(node) => node.leader().borrow().clone(),
            Self::Remote(remote) => match timeout(ASKED, remote.members()).await {
                Ok(Ok(members)) => told(members),
                _ => Leader::Unknown,
            },
        }
    }

    /// Waits until another may lead than at the last look.
    pub(crate) async fn next_leader(&self) {
        match self {
            Self::Replica(node) => {
                let mut leader = node.leader();
                leader.mark_unchanged();
                // Also after a while: it may have changed before this was called.
                let _ = timeout(LOOK, leader.changed()).await;
            }
            Self::Remote(_) => tokio::time::sleep(LOOK).await,
        }
    }

    /// Why it can no longer work; None while it can.
    pub(crate) fn failure(&self) -> Option<String> {
        self.health()?.failure
    }

    /// Everything in the replica that contradicts itself.
    pub(crate) async fn check_consistency(&self) -> Result<Vec<String>, Error> {
        self.here()?.check_consistency().await
    }

    /// The last entry that the replica has applied, and the hash of its state.
    pub(crate) async fn state_hash(&self) -> Result<(u64, [u8; 32]), Error> {
        self.here()?.state_hash().await
    }

    /// Takes node `id` out of the voters.
    pub(crate) async fn expel(&self, id: NodeId) -> Result<(), Failure> {
        match self {
            Self::Replica(node) => node.expel(id.0).await,
            Self::Remote(remote) => remote.expel(id.0).await,
        }
    }

    fn here(&self) -> Result<&Arc<Node>, Error> {
        let none = "this node holds no metadata: ask one with the role \"meta\" \
                    (`postrider cluster status` shows them)";
        self.replica().ok_or_else(|| Error::Failed(none.to_owned()))
    }

    /// Closes the replica; leadership is handed over before.
    pub(crate) async fn shutdown(&self) -> anyhow::Result<()> {
        let Some(node) = self.replica() else {
            return Ok(());
        };
        let text = "the metadata store did not close well; what was acknowledged is safe";
        node.shutdown().await.context(text)
    }
}

/// Who leads, as others tell it.
fn told(members: Members) -> Leader {
    let Members {
        leader,
        term,
        members,
    } = members;
    let found = members.into_iter().find(|it| Some(it.node) == leader);
    found.map_or(Leader::Unknown, |member| Leader::Other {
        node: member.node,
        address: member.address,
        term,
    })
}
