//! `postrider cluster join`: makes this folder a new node of a cluster that runs.
//!
//! The key and the request are kept before anything is asked: repeated after an
//! interruption, the same request gets the same answer and uses the token once.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use postrider_rpc::proto::{JoinReply, JoinRequest};
use postrider_rpc::{KeyRequest, Token};
use postrider_types::{Clock, CommandId, NodeId, SystemClock};
use serde::{Deserialize, Serialize};

use super::identity::{self, Facts, Identity};
use crate::dir;
use crate::random::ThreadRandom;
use crate::settings::{Cluster, Settings};

/// The request that is under way, in the identity's folder.
const PENDING: &str = "joining.json";
/// How long the cluster knows a request again; less than it really does.
const KNOWN: Duration = Duration::from_secs(300);

/// A request that may have been answered already.
#[derive(Serialize, Deserialize)]
struct Pending {
    /// Of the token, so that another one begins anew.
    token: String,
    address: String,
    /// The command's id.
    command: [u8; 16],
    key: String,
    signing_request: String,
}

/// Joins the cluster of `token`; the node's identity is in the folder then.
pub(crate) async fn join(settings: &Settings, token: &Token) -> anyhow::Result<Identity> {
    let Some(cluster) = &settings.cluster else {
        bail!(
            "the settings have no section [cluster]: add it, with the address at which the other \
             nodes will reach this one:\n  [cluster]\n  address = \"mail2.example.org:7425\""
        );
    };
    let _lock = dir::lock(&settings.data_dir)?;
    if let Some(identity) = Identity::load(&settings.data_dir)? {
        bail!(
            "this is already node {} of a cluster: start it with `postrider serve`",
            identity.facts.node
        );
    }
    let metadata = settings.metadata().dir;
    if metadata.join("log").exists() {
        bail!(
            "{} holds the metadata of a node that stood alone. A node that joins brings none: \
             choose an empty data_dir, or begin the cluster on this node with `postrider cluster \
             init` instead",
            metadata.display()
        );
    }
    let folder = identity::folder(&settings.data_dir)?;
    let pending = pending(&folder, cluster, token)?;
    let request = JoinRequest {
        // Filled in by the call.
        secret: Bytes::new(),
        oldest: 0,
        newest: 0,
        address: cluster.address.clone(),
        roles: settings.roles.iter().map(ToString::to_string).collect(),
        signing_request: pending.signing_request.clone(),
        name: cluster.name(),
        version: env!("CARGO_PKG_VERSION").into(),
        command: Bytes::copy_from_slice(&pending.command),
    };
    let reply = postrider_rpc::join(token, settings.meta.versions, request).await?;
    let identity = identity(settings, cluster, pending.key, reply)?;
    identity.write(&settings.data_dir)?;
    // It holds the key a second time.
    let _ = fs::remove_file(folder.join(PENDING));
    Ok(identity)
}

fn identity(
    settings: &Settings,
    cluster: &Cluster,
    key: String,
    reply: JoinReply,
) -> anyhow::Result<Identity> {
    let members: Vec<String> = reply.members.into_iter().map(|m| m.address).collect();
    if reply.node == 0 || reply.cluster.is_empty() || members.is_empty() {
        bail!("the cluster's answer is not complete; are all nodes of the same version?");
    }
    Ok(Identity {
        facts: Facts {
            cluster: reply.cluster,
            node: NodeId(reply.node),
            address: cluster.address.clone(),
            roles: settings.roles.clone(),
            members,
            begun: false,
        },
        authority: reply.authority,
        certificate: reply.certificate,
        key,
    })
}

/// The request that was begun before and may still be known, or a fresh one;
/// durable either way.
fn pending(folder: &Path, cluster: &Cluster, token: &Token) -> anyhow::Result<Pending> {
    let file: PathBuf = folder.join(PENDING);
    let hash: String = token.hash().iter().map(|b| format!("{b:02x}")).collect();
    let now = SystemClock.now();
    let known = |pending: &Pending| {
        let began = CommandId::from_bytes(pending.command).made_at();
        pending.token == hash && pending.address == cluster.address && now.since(began) < KNOWN
    };
    let earlier = fs::read(&file).ok();
    let earlier = earlier.and_then(|text| serde_json::from_slice(&text).ok());
    if let Some(pending) = earlier.filter(known) {
        return Ok(pending);
    }
    let request = KeyRequest::new()?;
    let pending = Pending {
        token: hash,
        address: cluster.address.clone(),
        command: *CommandId::new(now, &ThreadRandom).as_bytes(),
        key: request.key,
        signing_request: request.signing_request,
    };
    let text = serde_json::to_vec(&pending).context("cannot write JSON")?;
    dir::replace(&file, &text)?;
    Ok(pending)
}
