//! Who belongs to the cluster, as a copy at hand: refreshed from the metadata
//! every second and at once when this node changed something. By it removed
//! nodes are refused, and by it a node learns that it was removed itself, or that
//! its program does not work in the cluster's version.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use postrider_meta::{Client, NodeView, ReadAt, query};
use postrider_rpc::proto::membership_client::MembershipClient;
use postrider_rpc::tonic::Request;
use postrider_rpc::{Channels, Failure, Standing, proto};
use postrider_types::{NodeId, Version, Versions};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::identity::Identity;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Each so many looks ask for the latest state: who was removed gets no answer
/// to that, whatever its own replica says.
const LATEST: u32 = 4;
/// For so long after the latest state was seen it is believed what a node is not:
/// a few such looks.
const BELIEVED: Duration = Duration::from_secs(15);
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The nodes. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Roster(Arc<Inner>);

struct Inner {
    me: NodeId,
    /// The versions of the cluster that this program works in.
    versions: Versions,
    nodes: ArcSwap<Vec<NodeView>>,
    /// When the latest state was seen last.
    confirmed: ArcSwapOption<Instant>,
    look: Notify,
    gone: OnceLock<String>,
}

impl Roster {
    /// Of node `me`, whose program works in `versions`; empty until the first look.
    pub(crate) fn new(me: NodeId, versions: Versions) -> Self {
        Self(Arc::new(Inner {
            me,
            versions,
            nodes: ArcSwap::default(),
            confirmed: ArcSwapOption::default(),
            look: Notify::new(),
            gone: OnceLock::new(),
        }))
    }

    /// All nodes, removed ones too, as last seen.
    pub(crate) fn nodes(&self) -> Arc<Vec<NodeView>> {
        self.0.nodes.load_full()
    }

    /// Node `id`, removed or not.
    pub(crate) fn node(&self, id: NodeId) -> Option<NodeView> {
        self.nodes().iter().find(|node| node.id == id).cloned()
    }

    /// What node `id` is. One that is not known yet has joined a moment ago. That
    /// one holds no metadata is believed only while this node keeps up: a replica
    /// that lags may have to be brought up by the very node of which it does not
    /// know yet that it leads.
    pub(crate) fn standing(&self, id: u64) -> Standing {
        let nodes = self.0.nodes.load();
        let confirmed = self.0.confirmed.load();
        let fresh = confirmed.as_ref().is_some_and(|at| at.elapsed() < BELIEVED);
        match nodes.iter().find(|node| node.id.0 == id) {
            Some(node) if node.removed.is_some() => Standing::Removed,
            Some(node) if fresh && !votes(node) => Standing::Frontend,
            _ => Standing::Voter,
        }
    }

    /// Where nodes with metadata are reached.
    pub(crate) fn voters(&self) -> Vec<String> {
        let nodes = self.nodes();
        let fit =
            |node: &&NodeView| node.removed.is_none() && node.replaced_by.is_none() && votes(node);
        nodes
            .iter()
            .filter(fit)
            .map(|n| n.address.clone())
            .collect()
    }

    /// Why this node must end: it was removed from the cluster, or its program does
    /// not work in the cluster's version.
    pub(crate) fn gone(&self) -> Option<&String> {
        self.0.gone.get()
    }

    /// Has the copy refreshed now.
    pub(crate) fn look(&self) {
        self.0.look.notify_one();
    }

    /// Looks once, at whatever the own replica knows: needs no leader.
    pub(crate) async fn load(&self, meta: &Client) -> Result<(), postrider_meta::Error> {
        self.read(meta, ReadAt::AtLeast(Default::default())).await
    }

    /// Looks once, at the latest state.
    pub(crate) async fn refresh(&self, meta: &Client) -> Result<(), postrider_meta::Error> {
        self.read(meta, ReadAt::Latest).await
    }

    async fn read(&self, meta: &Client, at: ReadAt) -> Result<(), postrider_meta::Error> {
        let (version, _) = meta.ask(query::ClusterVersion {}, at).await?;
        self.check(version);
        let (nodes, _) = meta.ask(query::Nodes {}, at).await?;
        let own = nodes.iter().find(|node| node.id == self.0.me);
        if own.is_some_and(|node| node.removed.is_some()) {
            self.removed();
        }
        self.0.nodes.store(Arc::new(nodes));
        if at == ReadAt::Latest {
            self.0.confirmed.store(Some(Arc::new(Instant::now())));
        }
        Ok(())
    }

    fn check(&self, version: Version) {
        if let Some(objection) = self.0.versions.objection("this program", version) {
            let _ = self.0.gone.set(objection);
        }
    }

    fn removed(&self) {
        let _ = self.0.gone.set(format!(
            "this node (node {}) was removed from the cluster. Its data folder is of no use any \
             more; to bring this machine back, empty the folder and join it again: a node of the \
             cluster gives the token with `postrider cluster token`",
            self.0.me
        ));
    }

    /// Keeps the copy fresh until `stop`, and the addresses in `identity.json`.
    pub(crate) async fn keep(
        self,
        meta: Client,
        channels: Channels,
        mut identity: Identity,
        data_dir: PathBuf,
        stop: CancellationToken,
    ) {
        let mut round = 0_u32;
        loop {
            let at = match round % LATEST {
                0 => ReadAt::Latest,
                _ => ReadAt::AtLeast(Default::default()),
            };
            round = round.wrapping_add(1);
            let read = tokio::select! {
                () = stop.cancelled() => return,
                read = timeout(PATIENCE, self.read(&meta, at)) => read,
            };
            match read {
                Ok(Ok(())) => self.remember(&mut identity, &data_dir),
                Ok(Err(_)) | Err(_) => {
                    if self.is_refused(&channels, &identity).await {
                        self.removed();
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
                () = self.0.look.notified() => round = 0,
            }
        }
    }

    /// Keeps where to find others after a restart.
    fn remember(&self, identity: &mut Identity, data_dir: &std::path::Path) {
        let mut members = self.voters();
        members.sort_unstable();
        if members.is_empty() || members == identity.facts.members {
            return;
        }
        identity.facts.members = members;
        if let Err(error) = identity.write_facts(data_dir) {
            tracing::warn!(%error, "the other nodes' addresses are not written down");
        }
    }

    /// Whether another node says that this one was removed.
    async fn is_refused(&self, channels: &Channels, identity: &Identity) -> bool {
        let mut addresses = self.voters();
        addresses.extend(identity.facts.members.iter().cloned());
        addresses.sort_unstable();
        addresses.dedup();
        let asked = addresses.iter().map(|address| refused(channels, address));
        futures::future::join_all(asked).await.contains(&true)
    }
}

/// Whether it has a replica of the metadata.
fn votes(node: &NodeView) -> bool {
    node.roles.iter().any(|role| role.votes())
}

async fn refused(channels: &Channels, address: &str) -> bool {
    let Ok(channel) = channels.get(address) else {
        return false;
    };
    let mut client = MembershipClient::new(channel);
    let mut request = Request::new(proto::MembersRequest {});
    request.set_timeout(PATIENCE);
    match timeout(PATIENCE, client.members(request)).await {
        Ok(Err(status)) => matches!(Failure::from(status), Failure::Removed),
        _ => false,
    }
}
