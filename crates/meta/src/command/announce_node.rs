//! Records what a node says about itself when it starts.

use postrider_kv::Txn;
use postrider_types::{NodeId, Role, Version, Versions};
use serde::{Deserialize, Serialize};

use crate::api::Context;
use crate::stop::Stop;
use crate::{cluster, key, row, version};

/// Records a node's address, roles and program, which may have changed since it
/// joined. Refused to a removed or unknown node, and to one whose program does not
/// work in the cluster's version. At a new address it replaces
/// nobody whose address it had given before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnnounceNode {
    /// The node.
    pub id: NodeId,
    /// HOST:PORT at which the other nodes reach it.
    pub address: String,
    /// What it does: at least one role.
    pub roles: Vec<Role>,
    /// The release of the program it runs.
    pub version: String,
    /// The versions of the cluster that this program works in.
    pub versions: Versions,
    /// The cluster's version is not to be raised above this.
    pub hold: Option<Version>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: AnnounceNode,
) -> Result<(), Stop> {
    cluster::check_address(&command.address)?;
    cluster::check_text("version", &command.version)?;
    cluster::check_roles(&command.roles)?;
    version::check_node(txn, command.versions).await?;
    let present = cluster::member(txn, command.id).await?;
    let node = row::Node {
        address: command.address,
        roles: row::role_words(&command.roles),
        version: command.version,
        oldest: command.versions.oldest.0,
        newest: command.versions.newest.0,
        hold: command.hold.map(|hold| hold.0),
        ..present.clone()
    };
    if node == present {
        return Ok(());
    }
    row::put(txn, key::node(command.id), &node);
    if node.address != present.address {
        // It is not their machine after all.
        for (id, mut other) in cluster::nodes(txn).await? {
            let replaced = other.replaced_by == Some(command.id.0);
            if replaced && other.is_member() && other.address != node.address {
                other.replaced_by = None;
                row::put(txn, key::node(id), &other);
            }
        }
    }
    Ok(())
}
