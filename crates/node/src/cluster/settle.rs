//! In the background after the start: makes this node what its settings say in
//! the eyes of the others. Announces what changed, asks for a vote where it
//! holds metadata and has none, removes the node whose machine it is now, and renews its
//! certificate.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use postrider_meta::{Client, NodeView, ReadAt, command, query};
use postrider_meta_raft::Remote;
use postrider_rpc::{Channels, Failure, Tls};
use postrider_types::{Role, SystemClock, Version, Versions};
use tokio_util::sync::CancellationToken;

use super::identity::Identity;
use super::renew;
use super::status::report_at;
use crate::backend::Backend;
use crate::random::ThreadRandom;

/// Between two tries.
const AGAIN: Duration = Duration::from_secs(1);
/// Between looks once all is settled: at its certificate, above all.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long the others may take to be told something.
const TELL: Duration = Duration::from_secs(5);
/// Tries in a row that are not worth a line in the log.
const QUIET: u32 = 3;

/// What this node is to be.
pub(crate) struct Settling {
    pub(crate) identity: Identity,
    pub(crate) address: String,
    /// As it is shown.
    pub(crate) name: String,
    pub(crate) roles: Vec<Role>,
    /// The versions of the cluster that its program works in.
    pub(crate) versions: Versions,
    /// Above this the cluster's version is not to be raised.
    pub(crate) hold: Option<Version>,
    pub(crate) backend: Backend,
    pub(crate) meta: Client,
    pub(crate) channels: Channels,
    /// How it shows itself to the others.
    pub(crate) tls: Tls,
    pub(crate) data_dir: PathBuf,
}

impl Settling {
    /// Tries until all is done, and looks again each day, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut tries = 0_u32;
        loop {
            let tried = tokio::select! {
                () = stop.cancelled() => return,
                tried = self.step() => tried,
            };
            match tried {
                Ok(()) => {
                    if tries > 0 {
                        tracing::info!("this node has its place in the cluster");
                    }
                    tries = 0;
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(DAY) => continue,
                    }
                }
                Err(error) => {
                    tries = tries.saturating_add(1);
                    // The first ones meet nodes that are starting themselves.
                    if tries > QUIET && tries.is_power_of_two() {
                        tracing::warn!(
                            "this node's place in the cluster is not settled: {error:#}"
                        );
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    async fn step(&self) -> anyhow::Result<()> {
        self.vote().await?;
        let nodes = self.meta.ask(query::Nodes {}, ReadAt::Latest).await?.0;
        self.announce(&self.meta, &nodes).await?;
        self.replace(&nodes).await?;
        renew::renew(self).await
    }

    /// Asks for a vote, if it is to have one.
    async fn vote(&self) -> anyhow::Result<()> {
        let Some(replica) = self.backend.replica() else {
            return Ok(());
        };
        let id = self.identity.facts.node.0;
        let votes = replica
            .members()
            .members
            .into_iter()
            .any(|member| member.node == id && member.voter && member.address == self.address);
        if votes {
            return Ok(());
        }
        let members = &self.identity.facts.members;
        let asked = replica.join(members).await;
        if matches!(asked, Err(Failure::Failed(_))) {
            // A frontend that is to hold metadata from now on gets no vote before
            // the others know that. Its own replica cannot tell them yet.
            let others = Remote::new(self.channels.clone(), members.clone(), TELL);
            let clock = Arc::new(SystemClock);
            let others = Client::new(Arc::new(others), clock, Arc::new(ThreadRandom));
            let nodes = others.ask(query::Nodes {}, ReadAt::Latest).await?.0;
            self.announce(&others, &nodes).await?;
        }
        asked.context("no vote yet")
    }

    /// Tells what has changed since it was told last.
    async fn announce(&self, meta: &Client, nodes: &[NodeView]) -> anyhow::Result<()> {
        let id = self.identity.facts.node;
        let version = env!("CARGO_PKG_VERSION");
        let known = nodes.iter().any(|node| {
            node.id == id
                && node.address == self.address
                && node.roles == self.roles
                && node.version == version
                && node.versions == self.versions
                && node.hold == self.hold
        });
        if known {
            return Ok(());
        }
        let announce = command::AnnounceNode {
            id,
            address: self.address.clone(),
            roles: self.roles.clone(),
            version: version.into(),
            versions: self.versions,
            hold: self.hold,
        };
        meta.run(announce).await?.0?;
        Ok(())
    }

    /// Removes the nodes that this machine was before it lost its disk. That it
    /// is the same machine shows at the address, where this node answers now.
    async fn replace(&self, nodes: &[NodeView]) -> anyhow::Result<()> {
        let id = self.identity.facts.node;
        let mut replaced = Vec::new();
        for node in nodes {
            let same = node.address == self.address;
            if node.replaced_by == Some(id) && node.removed.is_none() && same {
                replaced.push(node.id);
            }
        }
        if replaced.is_empty() {
            return Ok(());
        }
        let answers = report_at(&self.channels, &self.address).await;
        let answers = answers.map_err(|reason| {
            anyhow::anyhow!(
                "this node does not reach itself at {}: {reason}",
                self.address
            )
        })?;
        if answers.node != id.0 {
            anyhow::bail!(
                "node {} answers at {}: give this node an address of its own in [cluster]",
                answers.node,
                self.address
            );
        }
        for id in replaced {
            tracing::info!(node = %id, "removing the node that this machine was before");
            // Its vote first, which counts against every majority.
            self.backend.expel(id).await?;
            self.meta.run(command::RemoveNode { id }).await?.0?;
        }
        Ok(())
    }
}
