//! Changes of the cluster that an administrator asks for: removing a node,
//! moving the leadership, making a join token. On whichever node is asked.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use postrider_meta::{Authority, ReadAt, Refusal, command, query};
use postrider_rpc::Failure;
use postrider_types::{NodeId, Role};
use tokio::time::timeout;

use super::report::{Node, Status};
use super::{Cluster, identity, token};
use crate::backend::Backend;

/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(5);

impl Cluster {
    /// A token with which `uses` nodes can join within `expires`.
    pub(crate) async fn issue_token(&self, expires: Duration, uses: u32) -> anyhow::Result<String> {
        let authority = self.meta.ask(query::Authority {}, ReadAt::Latest).await?.0;
        let Authority { certificate, key } = authority
            .context("the metadata know no cluster: was the right data folder restored?")?;
        let authority = postrider_rpc::Authority::from_pem(&certificate, &key)?;
        self.roster.refresh(&self.meta).await?;
        token::issue(&self.meta, &authority, expires, uses, self.roster.voters()).await
    }

    /// Removes node `id` for ever. Without `force` only if all goes on without
    /// it. May be repeated.
    pub(crate) async fn remove(&self, id: NodeId, force: bool) -> anyhow::Result<()> {
        let status = self.status().await;
        let Some(node) = status.nodes.iter().find(|node| node.node == id.0) else {
            return match self.roster.node(id) {
                // Again, in case the first time was cut off.
                Some(_) => self.take_out(id).await,
                None => bail!("there is no node {id}: `postrider cluster status` shows them"),
            };
        };
        if let Some(reason) = objection(&status, node).filter(|_| !force) {
            bail!("{reason}");
        }
        self.take_out(id).await
    }

    /// This node, which holds no metadata, leaves for good: it is told to stop, and what
    /// comes in its place is another node.
    pub(crate) async fn leave(&self, data_dir: &Path) -> anyhow::Result<()> {
        let id = self.identity.facts.node;
        match timeout(LEAVE, self.meta.run(command::RemoveNode { id })).await {
            Ok(Ok((Ok(()) | Err(Refusal::NotFound(_)), _))) => {}
            Ok(Ok((Err(refusal), _))) => bail!("{refusal}"),
            Ok(Err(error)) => bail!("{error}"),
            Err(_) => bail!("no answer within {} s", LEAVE.as_secs()),
        }
        tracing::info!(node = %id, "left the cluster");
        identity::forget(data_dir)
    }

    /// Its vote first: once it is told that it was removed, it ends, and must
    /// not be needed for that then.
    async fn take_out(&self, id: NodeId) -> anyhow::Result<()> {
        self.backend.expel(id).await?;
        match self.meta.run(command::RemoveNode { id }).await?.0 {
            Ok(()) | Err(Refusal::NotFound(_)) => {}
            Err(refusal) => bail!("{refusal}"),
        }
        // It may have asked to be admitted again in between. If it is this node,
        // the others hear nothing from it any more.
        if id != self.identity.facts.node {
            self.backend.expel(id).await?;
        }
        self.roster.look();
        tracing::info!(node = %id, "removed from the cluster");
        Ok(())
    }

    /// Gives the leadership to `to`, or to whichever voter keeps up best; who
    /// leads then.
    pub(crate) async fn move_leader(&self, to: Option<NodeId>) -> Result<NodeId, Failure> {
        let to = to.map(|id| id.0);
        let leader = match &self.backend {
            Backend::Replica(node) => node.move_leader(to).await,
            Backend::Remote(remote) => remote.move_leader(to).await,
        };
        leader.map(NodeId)
    }
}

/// Why `node` should stay, if it should.
fn objection(status: &Status, node: &Node) -> Option<String> {
    let id = node.node;
    let stay = || status.nodes.iter().filter(|other| other.node != id);
    let answers = |node: &&Node| node.report.as_ref().is_some_and(|report| report.ready);
    let voters = stay().filter(|other| other.voter).count();
    let full = stay().filter(|other| other.voter && !other.has(Role::Witness));
    let fit = stay().filter(|other| other.voter).filter(answers).count();
    if node.voter && full.count() == 0 {
        return Some(format!(
            "node {id} is the only one with metadata: without it the mail would be lost. Join \
             another node with the role \"meta\" first"
        ));
    }
    if node.voter && fit < voters / 2 + 1 {
        return Some(format!(
            "without node {id} only {fit} of {voters} nodes with metadata would be fit, and {} \
             are needed: nothing could be stored. Bring back the others first (`postrider cluster \
             status` names them)",
            voters / 2 + 1
        ));
    }
    let serves = |other: &&Node| other.has(Role::Frontend);
    if serves(&node) && stay().filter(serves).filter(answers).count() == 0 {
        return Some(format!(
            "node {id} is the only one that serves mail now: join another node with the role \
             \"frontend\" first, or remove it nevertheless with --force"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::report::Report;

    fn status(nodes: &[(u64, bool, bool)]) -> Status {
        let node = |(id, voter, ready): &(u64, bool, bool)| Node {
            node: *id,
            roles: Role::FULL.to_vec(),
            voter: *voter,
            report: Some(Report {
                node: *id,
                ready: *ready,
                ..Report::default()
            }),
            ..Node::default()
        };
        Status {
            cluster: String::new(),
            asked: 1,
            leader: Some(1),
            term: 1,
            third: None,
            cluster_version: Some(1),
            nodes: nodes.iter().map(node).collect(),
            safe: false,
            verdict: String::new(),
            notes: Vec::new(),
        }
    }

    fn objection_to(id: u64, nodes: &[(u64, bool, bool)]) -> Option<String> {
        let status = status(nodes);
        let node = status.nodes.iter().find(|node| node.node == id).unwrap();
        objection(&status, node)
    }

    #[test]
    fn a_node_that_is_needed_stays() {
        let three = [(1, true, true), (2, true, true), (3, true, true)];
        assert_eq!(objection_to(3, &three), None);
        let one_away = [(1, true, true), (2, true, true), (3, true, false)];
        assert_eq!(objection_to(3, &one_away), None);
        let text = objection_to(2, &one_away).unwrap();
        assert!(text.contains("only 1 of 2"), "{text}");
        let text = objection_to(1, &[(1, true, true)]).unwrap();
        assert!(text.contains("the only one with metadata"), "{text}");
        let mut frontends = [(1, true, true), (2, true, true), (3, true, true)];
        frontends[0].2 = true;
        let mut status = status(&frontends);
        for node in &mut status.nodes[..2] {
            node.roles = vec![Role::Meta];
        }
        let text = objection(&status, &status.nodes[2]).unwrap();
        assert!(text.contains("serves mail"), "{text}");
    }
}
