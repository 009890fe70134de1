//! What the commands and queries about the cluster share: its row, its nodes
//! and what is allowed in what a node says about itself.

use bytes::Bytes;
use postrider_kv::{self as kv, Range, Read};
use postrider_types::{NodeId, Role};

use crate::api::Refusal;
use crate::stop::Stop;
use crate::view::NewNode;
use crate::{key, limit, row};

/// Rows are read in pieces of this many.
const PIECE: usize = 1_000;

/// The cluster that the metadata belongs to; None on a node that stands alone.
pub(crate) async fn cluster(read: &impl Read) -> kv::Result<Option<row::Cluster>> {
    row::get(read, &key::cluster()).await
}

/// The cluster, or a refusal.
pub(crate) async fn existing(read: &impl Read) -> Result<row::Cluster, Stop> {
    let text = "cluster here: make one with `postrider cluster init`";
    Ok(cluster(read)
        .await?
        .ok_or_else(|| Refusal::NotFound(text.into()))?)
}

/// All nodes by id, removed ones too.
pub(crate) async fn nodes(read: &impl Read) -> kv::Result<Vec<(NodeId, row::Node)>> {
    let mut nodes = Vec::new();
    let mut range = Range::prefix(&key::nodes(), PIECE);
    loop {
        let piece = row::range::<row::Node>(read, range.clone()).await?;
        let whole = piece.len() == PIECE;
        for (key, node) in piece {
            let id = key::node_of(&key).ok_or_else(|| row::bad_key(&key))?;
            nodes.push((id, node));
        }
        let Some((last, _)) = nodes.last().filter(|_| whole) else {
            return Ok(nodes);
        };
        range = range.after(&key::node(*last));
    }
}

/// The node `id`, which must not be removed.
pub(crate) async fn member(read: &impl Read, id: NodeId) -> Result<row::Node, Stop> {
    let node: Option<row::Node> = row::get(read, &key::node(id)).await?;
    let node = node.filter(row::Node::is_member);
    let refusal = || Refusal::NotFound(format!("node {id} in this cluster: it was removed"));
    Ok(node.ok_or_else(refusal)?)
}

/// All join tokens with their keys: few, as [`limit::TOKENS`] says.
pub(crate) async fn tokens(read: &impl Read) -> kv::Result<Vec<(Bytes, row::Token)>> {
    row::range(read, Range::prefix(&key::tokens(), limit::TOKENS)).await
}

/// All leases with their keys: few, as [`limit::LEASES`] says.
pub(crate) async fn leases(read: &impl Read) -> kv::Result<Vec<(Bytes, row::Lease)>> {
    row::range(read, Range::prefix(&key::leases(), limit::LEASES)).await
}

/// Refuses a description that no node could have.
pub(crate) fn check_node(node: &NewNode) -> Result<(), Refusal> {
    check_text("name", &node.name)?;
    check_address(&node.address)?;
    check_text("version", &node.version)?;
    check_roles(&node.roles)
}

/// Refuses what is no HOST:PORT.
pub(crate) fn check_address(address: &str) -> Result<(), Refusal> {
    check_text("address", address)?;
    let port = address.rsplit_once(':').filter(|(host, _)| {
        // An IPv6 address has colons of its own, so it stands in brackets.
        let bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty() && (bracketed || !host.contains(':'))
    });
    match port.and_then(|(_, port)| port.parse::<u16>().ok()) {
        Some(1..) => Ok(()),
        _ => Err(Refusal::Invalid(format!(
            "{address:?} is no address at which other nodes can reach a node: use HOST:PORT"
        ))),
    }
}

/// Refuses a node that does nothing, and a witness that does more.
pub(crate) fn check_roles(roles: &[Role]) -> Result<(), Refusal> {
    if roles.is_empty() {
        return Err(Refusal::Invalid("a node needs at least one role".into()));
    }
    if roles.contains(&Role::Witness) && roles.iter().any(|role| *role != Role::Witness) {
        let text = "a witness does nothing else: give it no other role";
        return Err(Refusal::Invalid(text.into()));
    }
    Ok(())
}

/// Refuses a text that is empty, too long, or cannot be shown in one line.
pub(crate) fn check_text(what: &str, text: &str) -> Result<(), Refusal> {
    let most = limit::NODE_TEXT;
    if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
        return Err(Refusal::Invalid(format!(
            "a node's {what} has 1 to {most} bytes and no control characters"
        )));
    }
    Ok(())
}
