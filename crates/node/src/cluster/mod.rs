//! This node as one of several: its identity, what it tells the others and asks
//! of them, and what an administrator changes. Mail is not known here; the
//! metadata are reached through [`Backend`] and [`Client`] alone.

mod change;
mod enter;
mod identity;
mod init;
mod invite;
mod join;
mod join_service;
mod judge;
mod nodes_service;
mod recover;
mod rejoin;
mod renew;
pub(crate) mod report;
mod reporter;
mod roster;
mod server;
mod settle;
mod status;
mod token;
mod version;

use std::sync::Arc;
use std::time::Duration;

use postrider_meta::Client;
use postrider_meta_raft as raft;
use postrider_rpc::{Channels, JoinSecret, Tls};
use postrider_types::NodeId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) use enter::enter;
pub(crate) use identity::{Identity, authority_file, listener_certificate, of};
pub(crate) use init::init;
pub(crate) use join::join;
pub(crate) use judge::ARCHIVE_LAG;
pub(crate) use recover::{Recover, Recovered, recover};
pub(crate) use rejoin::{may_rejoin, rejoin, was_interrupted};
pub(crate) use reporter::Reporter;
pub(crate) use roster::Roster;
pub(crate) use server::Server;
pub(crate) use settle::Settling;
pub(crate) use version::Raiser;

use crate::backend::Backend;
use crate::counts::Leader;
use crate::settings::{self, Settings};

/// How long a join token is good if nothing is said.
pub(crate) const TOKEN_AGE: Duration = Duration::from_secs(3600);

/// This node's part in the cluster. Cheap to share.
pub(crate) struct Cluster {
    pub(crate) identity: Identity,
    /// HOST:PORT at which the others reach it.
    pub(crate) address: String,
    pub(crate) backend: Backend,
    pub(crate) meta: Client,
    pub(crate) channels: Channels,
    /// How it shows itself to the others.
    pub(crate) tls: Tls,
    pub(crate) roster: Roster,
    pub(crate) reporter: Reporter,
    /// By which others are let in without a person.
    pub(crate) join_secret: Option<JoinSecret>,
}

impl Cluster {
    /// What makes this node what its settings say.
    pub(crate) fn settling(&self, settings: &Settings) -> Settling {
        Settling {
            identity: self.identity.clone(),
            address: self.address.clone(),
            name: settings
                .cluster
                .as_ref()
                .map_or_else(String::new, settings::Cluster::name),
            roles: settings.roles.clone(),
            versions: settings.meta.versions,
            hold: settings.meta.hold_version,
            backend: self.backend.clone(),
            meta: self.meta.clone(),
            channels: self.channels.clone(),
            tls: self.tls.clone(),
            data_dir: settings.data_dir.clone(),
        }
    }

    /// Tells `sender` who leads, until `stop`.
    pub(crate) async fn follow(
        self: Arc<Self>,
        sender: watch::Sender<Leader>,
        stop: CancellationToken,
    ) {
        loop {
            let leader = match self.backend.leader().await {
                raft::Leader::Unknown => Leader::None,
                raft::Leader::Me { .. } => Leader::Me,
                raft::Leader::Other { node, address, .. } => Leader::Other {
                    node: NodeId(node),
                    address,
                },
            };
            sender.send_if_modified(|known| {
                let changed = *known != leader;
                *known = leader;
                changed
            });
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.backend.next_leader() => {}
            }
        }
    }
}

/// Remembers in the identity what this start says of the node.
pub(crate) fn remember(identity: &mut Identity, settings: &Settings) -> anyhow::Result<()> {
    let Some(cluster) = &settings.cluster else {
        return Ok(());
    };
    let facts = &mut identity.facts;
    if facts.address == cluster.address && facts.roles == settings.roles {
        return Ok(());
    }
    facts.address = cluster.address.clone();
    facts.roles = settings.roles.clone();
    identity.write_facts(&settings.data_dir)
}

/// Remembers in the identity that this node's replica was begun.
pub(crate) fn remember_begun(identity: &mut Identity, settings: &Settings) -> anyhow::Result<()> {
    if identity.facts.begun || !settings.votes() {
        return Ok(());
    }
    identity.facts.begun = true;
    identity.write_facts(&settings.data_dir)
}

/// The names in a node's certificate beside those that all nodes have: what
/// mail clients may know it by.
fn names(name: &str, address: &str) -> Vec<String> {
    let host = settings::host(address).unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    for name in [name, host, "localhost", "127.0.0.1", "::1"] {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}
