//! `postrider cluster init`: makes this node the first of a cluster.
//!
//! Runs the metadata of the data folder in this process, without listeners,
//! founds the cluster in it, and then writes the identity. Whatever was done
//! before an interruption is found and kept; the identity comes last.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use postrider_body::{Bodies, OwnershipError};
use postrider_meta::{Authority, Client, NewNode, ReadAt, Refusal, command, query};
use postrider_meta_raft::Node;
use postrider_rpc::{Channels, KeyRequest, Timeouts};
use postrider_types::{NodeId, Role, SystemClock};

use super::identity::{self, Facts, Identity};
use super::token;
use crate::random::ThreadRandom;
use crate::settings::{Cluster, Settings};
use crate::{dir, ownership};

/// How long the metadata of one node may take to become available.
const READY: Duration = Duration::from_secs(60);

/// What was made.
pub(crate) struct Founded {
    pub(crate) identity: Identity,
    /// The first join token.
    pub(crate) token: String,
}

/// Makes the node of `settings` the first of a cluster, with a join token for
/// `uses` nodes that is good for `expires`.
pub(crate) async fn init(
    settings: &Settings,
    expires: Duration,
    uses: u32,
) -> anyhow::Result<Founded> {
    let Some(cluster) = &settings.cluster else {
        bail!(
            "the settings have no section [cluster]: add it, with the address at which the other \
             nodes will reach this one:\n  [cluster]\n  address = \"mail1.example.org:7425\""
        );
    };
    if !settings.has(Role::Meta) {
        bail!("the first node of a cluster holds its metadata: add \"meta\" to roles");
    }
    let _lock = dir::lock(&settings.data_dir)?;
    if let Some(identity) = Identity::load(&settings.data_dir)? {
        bail!(
            "this is already node {} of a cluster: start it with `postrider serve`; `postrider \
             cluster token` then gives a token for another node",
            identity.facts.node
        );
    }
    let begun = Node::exists(&settings.metadata().dir) || ownership::claims(&settings.data_dir);
    dir::make_private(&settings.metadata().dir)?;
    if let Some(folder) = &settings.blob.folder {
        dir::make_private(folder)?;
    }
    let mut metadata = settings.metadata();
    metadata.address = cluster.address.clone();
    // Nobody else: no certificates are needed.
    let channels = Channels::new(postrider_rpc::Tls::Off, Timeouts::default());
    let raft = Node::start(metadata, Arc::new(SystemClock), channels, None)
        .await
        .context("cannot open the metadata store")?;
    let founded = found(&raft, settings, cluster, expires, uses).await;
    let closed = raft.shutdown().await;
    drop(raft);
    let refused = |error: &anyhow::Error| {
        let cause = error.downcast_ref::<OwnershipError>();
        cause.is_some_and(|cause| !cause.is_transient())
    };
    if founded.as_ref().err().is_some_and(refused) && !begun {
        // The store is another cluster's: nothing was begun that could go on.
        forget(settings);
    }
    let founded = founded?;
    closed.context("the metadata store did not close well; run the command again")?;
    founded.identity.write(&settings.data_dir)?;
    Ok(founded)
}

/// Removes what a founding that was refused has left.
fn forget(settings: &Settings) {
    ownership::forget_claim(&settings.data_dir);
    if let Err(error) = std::fs::remove_dir_all(settings.metadata().dir) {
        tracing::warn!(%error, "what was begun here is not removed");
    }
}

async fn found(
    raft: &Arc<Node>,
    settings: &Settings,
    cluster: &Cluster,
    expires: Duration,
    uses: u32,
) -> anyhow::Result<Founded> {
    let node = NodeId(settings.meta.node_id);
    let voters = raft.health().voters;
    if !voters.is_empty() && voters != [node.0] {
        bail!(
            "{} holds a replica of a cluster of several nodes ({voters:?}), but its identity is \
             missing: restore the folder `cluster`, or join with an empty data folder",
            settings.data_dir.display()
        );
    }
    let meta = Client::new(raft.clone(), Arc::new(SystemClock), Arc::new(ThreadRandom));
    available(&meta).await?;
    let version = meta.ask(query::ClusterVersion {}, ReadAt::Latest).await?.0;
    if let Some(objection) = settings.meta.versions.objection("this program", version) {
        bail!(objection);
    }
    let blobs = postrider_blob::Store::open(&settings.blob)?;
    let bodies = Bodies::new(meta.clone(), blobs, settings.body.clone());
    ownership::claim(&bodies, &settings.data_dir).await?;
    ownership::verify(&bodies, &settings.data_dir).await?;
    let (id, authority) = authority(&meta, cluster, settings, node).await?;
    announce(&meta, cluster, settings, node).await?;
    raft.admit(node.0, &cluster.address)
        .await
        .context("cannot record this node's address")?;
    let token = token::issue(
        &meta,
        &authority,
        expires,
        uses,
        vec![cluster.address.clone()],
    );
    let token = token.await?;
    let request = KeyRequest::new()?;
    let names = super::names(&cluster.name(), &cluster.address);
    let certificate = authority.issue(&request.signing_request, node.0, &names)?;
    let identity = Identity {
        facts: Facts {
            cluster: id,
            node,
            address: cluster.address.clone(),
            roles: settings.roles.clone(),
            members: vec![cluster.address.clone()],
            begun: true,
        },
        authority: authority.certificate().to_owned(),
        certificate,
        key: request.key,
    };
    identity::folder(&settings.data_dir)?;
    Ok(Founded { identity, token })
}

/// The cluster's id and authority: those in the metadata, made where there are none.
async fn authority(
    meta: &Client,
    cluster: &Cluster,
    settings: &Settings,
    node_id: NodeId,
) -> anyhow::Result<(String, postrider_rpc::Authority)> {
    let fresh_id = fresh_id(meta);
    let made = postrider_rpc::Authority::new(&fresh_id)?;
    let found = command::FoundCluster {
        id: fresh_id,
        authority: Authority {
            certificate: made.certificate().to_owned(),
            key: made.key(),
        },
        node: new_node(cluster, settings),
        node_id,
    };
    match meta.run(found).await?.0 {
        // What an earlier attempt founded stays.
        Ok(()) | Err(Refusal::Exists(_)) => {}
        Err(refusal) => bail!("cannot found the cluster: {refusal}"),
    }
    let view = meta.ask(query::Cluster {}, ReadAt::Latest).await?.0;
    let authority = meta.ask(query::Authority {}, ReadAt::Latest).await?.0;
    let (Some(view), Some(authority)) = (view, authority) else {
        bail!("the metadata lost the cluster that was just founded: run the command again");
    };
    let authority = postrider_rpc::Authority::from_pem(&authority.certificate, &authority.key)?;
    Ok((view.id, authority))
}

/// An address or roles that changed since an interrupted attempt.
async fn announce(
    meta: &Client,
    cluster: &Cluster,
    settings: &Settings,
    id: NodeId,
) -> anyhow::Result<()> {
    let node = new_node(cluster, settings);
    let announce = command::AnnounceNode {
        id,
        address: node.address,
        roles: node.roles,
        version: node.version,
        versions: node.versions,
        hold: settings.meta.hold_version,
    };
    let verdict = meta.run(announce).await?.0;
    verdict.context("an earlier attempt began under another meta.node_id: set that again")
}

pub(super) fn new_node(cluster: &Cluster, settings: &Settings) -> NewNode {
    NewNode {
        name: cluster.name(),
        address: cluster.address.clone(),
        roles: settings.roles.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        versions: settings.meta.versions,
    }
}

pub(super) fn fresh_id(meta: &Client) -> String {
    let mut id = [0; 16];
    meta.random().fill(&mut id);
    format!("{:032x}", u128::from_be_bytes(id))
}

pub(super) async fn available(meta: &Client) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + READY;
    loop {
        match meta.ask(query::Cluster {}, ReadAt::Latest).await {
            Ok(_) => return Ok(()),
            Err(error) if tokio::time::Instant::now() >= deadline => {
                return Err(error).context("the metadata of this node does not become available");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
