//! The cluster: its version, nodes, join tokens and leases.

use std::collections::BTreeMap;

use postrider_kv::{self as kv, Read};
use postrider_types::{NodeId, Version};

use super::{Walk, look_up, parsed, row_of};
use crate::{key, limit, row};

/// Checks what there is of a cluster.
pub(super) async fn check<R: Read>(read: &R, findings: &mut Vec<String>) -> kv::Result<()> {
    let cluster: Option<row::Cluster> = look_up(read, &key::cluster(), findings).await?;
    let nodes = nodes(read, findings).await?;
    let tokens = tokens(read, findings).await?;
    let holders = holders(read, findings).await?;
    version(read, &nodes, findings).await?;
    let Some(cluster) = cluster else {
        if !nodes.is_empty() || tokens > 0 {
            let nodes = nodes.len();
            findings.push(format!(
                "{nodes} nodes and {tokens} join tokens, but no cluster"
            ));
        }
        return Ok(());
    };
    if let Some((last, _)) = nodes
        .last_key_value()
        .filter(|(id, _)| id.0 > cluster.last_node)
    {
        let told = cluster.last_node;
        findings.push(format!(
            "node {last}: its id was not given out, the last is {told}"
        ));
    }
    for (id, node) in &nodes {
        if let Some(later) = node.replaced_by
            && (later <= id.0 || !nodes.contains_key(&NodeId(later)))
        {
            findings.push(format!(
                "node {id}: replaced by {later}, which is no later node"
            ));
        }
    }
    for (lease, holder) in holders {
        if !nodes.get(&holder).is_some_and(row::Node::is_member) {
            findings.push(format!("lease {lease}: node {holder} is not there"));
        }
    }
    Ok(())
}

/// The cluster's version, which each node's program knows.
async fn version<R: Read>(
    read: &R,
    nodes: &BTreeMap<NodeId, row::Node>,
    findings: &mut Vec<String>,
) -> kv::Result<()> {
    let row: Option<row::ClusterVersion> = look_up(read, &key::version(), findings).await?;
    let Some(row) = row else { return Ok(()) };
    if row.version == 0 {
        findings.push("the cluster's version is 0, which is none".into());
    }
    for (id, node) in nodes.iter().filter(|(_, node)| node.is_member()) {
        let (version, view) = (Version(row.version), node.clone().view(*id));
        if !view.versions.include(version) {
            let text = format!("node {id}: does not know the cluster's version {version}");
            findings.push(text);
        }
    }
    Ok(())
}

async fn nodes<R: Read>(
    read: &R,
    findings: &mut Vec<String>,
) -> kv::Result<BTreeMap<NodeId, row::Node>> {
    let mut nodes = BTreeMap::new();
    let mut walk = Walk::new(read, &key::nodes());
    while let Some(pairs) = walk.next().await? {
        for (key, value) in pairs {
            let id = parsed(&key, key::node_of(&key), findings);
            let node = row_of::<row::Node>(&key, &value, findings);
            if let (Some(id), Some(node)) = (id, node) {
                nodes.insert(id, node);
            }
        }
    }
    Ok(nodes)
}

/// How many join tokens there are.
async fn tokens<R: Read>(read: &R, findings: &mut Vec<String>) -> kv::Result<usize> {
    let mut count = 0;
    let mut walk = Walk::new(read, &key::tokens());
    while let Some(pairs) = walk.next().await? {
        for (key, value) in pairs {
            count += 1;
            let token = row_of::<row::Token>(&key, &value, findings);
            if token.is_some_and(|token| token.uses == 0) {
                let key = kv::key::escape(&key);
                findings.push(format!("join token {key}: used up, but still there"));
            }
        }
    }
    if count > limit::TOKENS {
        findings.push(format!("{count} join tokens, more than may wait"));
    }
    Ok(count)
}

/// Leases and who has them.
async fn holders<R: Read>(
    read: &R,
    findings: &mut Vec<String>,
) -> kv::Result<BTreeMap<String, NodeId>> {
    let mut holders = BTreeMap::new();
    let mut walk = Walk::new(read, &key::leases());
    while let Some(pairs) = walk.next().await? {
        for (key, value) in pairs {
            let name = parsed(&key, key::lease_of(&key), findings);
            let lease = row_of::<row::Lease>(&key, &value, findings);
            if let (Some(name), Some(lease)) = (name, lease) {
                holders.insert(name, NodeId(lease.holder));
            }
        }
    }
    if holders.len() > limit::LEASES {
        let count = holders.len();
        findings.push(format!("{count} leases, more than there may be"));
    }
    Ok(holders)
}
