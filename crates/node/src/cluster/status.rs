//! Gathers what all nodes tell of themselves. Every node is asked at once and
//! has two seconds; who does not answer is shown as such, with the reason.

use std::time::Duration;

use futures::future::join_all;
use postrider_meta::NodeView;
use postrider_meta_raft::BUCKET;
use postrider_rpc::proto::ReportRequest;
use postrider_rpc::proto::nodes_client::NodesClient;
use postrider_rpc::tonic::{Request, Status as Reply};
use postrider_rpc::{Channels, Failure};
use postrider_types::{Role, Version};
use tokio::time::timeout;

use super::Cluster;
use super::judge::judge;
use super::report::{Node, Report, Status, Vote};
use super::version::blockers;

/// How long a node may take to tell.
const PATIENCE: Duration = Duration::from_secs(2);

impl Cluster {
    /// The cluster as this node sees it.
    pub(crate) async fn status(&self) -> Status {
        let fresh = timeout(PATIENCE, self.roster.refresh(&self.meta)).await;
        if !matches!(fresh, Ok(Ok(()))) {
            tracing::debug!("the nodes are shown as they were last seen");
        }
        let nodes = self.roster.nodes();
        let nodes: Vec<&NodeView> = nodes.iter().filter(|node| node.removed.is_none()).collect();
        let reports = join_all(nodes.iter().map(|node| self.report_of(node))).await;
        let mut nodes: Vec<Node> = nodes
            .into_iter()
            .zip(reports)
            .map(|(view, report)| row(view, report))
            .collect();
        let (leader, term) = leader(&nodes);
        fill(&mut nodes, leader, term);
        nodes.extend(ghosts(&nodes, leader));
        let third = third(&nodes, leader);
        let mut judgement = judge(&nodes, leader, third.as_ref());
        let cluster_version = version(&nodes);
        judgement
            .notes
            .extend(self.pending_version(cluster_version));
        Status {
            cluster: self.identity.facts.cluster.clone(),
            asked: self.identity.facts.node.0,
            leader,
            term,
            third,
            cluster_version,
            nodes,
            safe: judgement.safe,
            verdict: judgement.verdict,
            notes: judgement.notes,
        }
    }

    /// Why the cluster's version is not raised, where some node knows a newer one.
    fn pending_version(&self, present: Option<u32>) -> Option<String> {
        let present = Version(present?);
        let nodes = self.roster.nodes();
        let members = nodes.iter().filter(|node| node.removed.is_none());
        let newest = members.map(|node| node.versions.newest).max()?;
        let to = present.next();
        let why = blockers(&nodes, to);
        if newest < to || why.is_empty() {
            return None;
        }
        Some(format!(
            "the cluster works as version {present} and is not raised to {to} yet: {}",
            why.join("; ")
        ))
    }

    async fn report_of(&self, node: &NodeView) -> Result<Report, String> {
        if node.id == self.identity.facts.node {
            return Ok(self.reporter.report().await);
        }
        let report = report_at(&self.channels, &node.address).await?;
        if report.node != node.id.0 {
            return Err(format!(
                "node {} answers at its address {}",
                report.node, node.address
            ));
        }
        Ok(report)
    }
}

/// What the node at `address` tells of itself; why it does not otherwise.
pub(crate) async fn report_at(channels: &Channels, address: &str) -> Result<Report, String> {
    let channel = channels.get(address).map_err(|error| error.to_string())?;
    let mut client = NodesClient::new(channel);
    let mut request = Request::new(ReportRequest {});
    request.set_timeout(PATIENCE);
    let reply = timeout(PATIENCE, client.report(request)).await;
    let reply = reply.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?;
    let reply = reply.map_err(|status| reason(&status))?.into_inner();
    serde_json::from_slice(&reply.json).map_err(|_| "its answer is not understood".to_owned())
}

/// The root of a failed call, which is what helps.
fn reason(status: &Reply) -> String {
    let mut source = std::error::Error::source(status);
    let mut deepest = None;
    while let Some(error) = source {
        deepest = Some(error.to_string());
        source = error.source();
    }
    deepest.unwrap_or_else(|| Failure::from(status.clone()).to_string())
}

fn row(view: &NodeView, report: Result<Report, String>) -> Node {
    let (report, unreachable) = match report {
        Ok(report) => (Some(report), None),
        Err(reason) => (None, Some(reason)),
    };
    let told = report.as_ref();
    Node {
        node: view.id.0,
        name: view.name.clone(),
        address: view.address.clone(),
        roles: told.map_or_else(|| view.roles.clone(), |report| report.roles.clone()),
        version: told.map_or_else(|| view.version.clone(), |report| report.version.clone()),
        knows: told.map_or(view.versions.newest.0, |report| report.knows),
        voter: false,
        lag: None,
        report,
        unreachable,
    }
}

/// The cluster's version, as the newest state has it.
fn version(nodes: &[Node]) -> Option<u32> {
    let reports = nodes.iter().filter_map(|node| node.report.as_ref());
    let told = reports.filter_map(|report| report.cluster_version);
    told.max().filter(|version| *version > 0)
}

/// Who leads, and in which term: as those say that know the highest one. A
/// leader counts if it says so itself.
fn leader(nodes: &[Node]) -> (Option<u64>, u64) {
    let reports = || nodes.iter().filter_map(|node| node.report.as_ref());
    let term = reports().map(|report| report.term).max().unwrap_or(0);
    let newest = reports().filter(|report| report.term == term);
    let claims = |report: &&Report| report.leader == Some(report.node);
    let leader = newest.clone().find(claims).map(|report| report.node);
    (leader, term)
}

/// Adds what only shows in comparison: votes and lags.
fn fill(nodes: &mut [Node], leader: Option<u64>, term: u64) {
    let reports = || nodes.iter().filter_map(|node| node.report.as_ref());
    let of_leader = reports().find(|report| Some(report.node) == leader);
    // Without a leader, whoever knows most of what was agreed on.
    let knows = |report: &&Report| (report.term == term, report.applied);
    let best = of_leader.or_else(|| reports().filter(|r| !r.voters.is_empty()).max_by_key(knows));
    let voters: Vec<u64> = match best {
        Some(best) => best.voters.clone(),
        // Nobody knows: then all that should.
        None => {
            let should = nodes.iter().filter(|node| node.shall_vote());
            should.map(|node| node.node).collect()
        }
    };
    let last = of_leader.and_then(|report| report.last_log);
    for node in nodes.iter_mut() {
        node.voter = voters.contains(&node.node);
        let applied = node.report.as_ref().and_then(|report| report.applied);
        node.lag = match (last, applied) {
            (Some(last), Some(applied)) => Some(last.saturating_sub(applied)),
            _ => None,
        };
    }
}

/// The vote in the bucket, as the leader knows it, where it votes or should.
fn third(nodes: &[Node], leader: Option<u64>) -> Option<Vote> {
    let mut reports = nodes.iter().filter_map(|node| node.report.as_ref());
    let report = match leader {
        Some(leader) => reports.find(|report| report.node == leader)?,
        None => reports.find(|report| !report.voters.is_empty())?,
    };
    let votes = report.voters.contains(&BUCKET);
    let two = report.voters.iter().filter(|id| **id != BUCKET).count() == 2;
    let mut told = report.third.clone().unwrap_or_default();
    // Whoever outlives the leader needs the bucket by its own way to it.
    let others = nodes
        .iter()
        .filter(|node| report.voters.contains(&node.node));
    let mut unreliable = others.filter_map(|node| {
        let reason = node.report.as_ref()?.third.as_ref()?.unreliable.as_ref()?;
        Some(format!("as {} sees it, {reason}", node.title()))
    });
    told.problem = told.problem.or_else(|| unreliable.next());
    (votes || two && told.wanted).then_some(Vote { votes, told })
}

/// Voters that were removed from the metadata, but count for every majority
/// still: a removal that broke off.
fn ghosts(nodes: &[Node], leader: Option<u64>) -> Vec<Node> {
    let mut reports = nodes.iter().filter_map(|node| node.report.as_ref());
    let Some(of_leader) = reports.find(|report| Some(report.node) == leader) else {
        return Vec::new();
    };
    let known = |id: &u64| *id == BUCKET || nodes.iter().any(|node| node.node == *id);
    let ghosts = of_leader.voters.iter().filter(|id| !known(id));
    ghosts
        .map(|id| Node {
            node: *id,
            name: "removed".into(),
            roles: vec![Role::Meta],
            voter: true,
            unreachable: Some("it was removed, but its vote still counts".into()),
            ..Node::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::report::Third;

    fn node(id: u64, report: Option<Report>) -> Node {
        Node {
            node: id,
            roles: Role::FULL.to_vec(),
            report,
            ..Node::default()
        }
    }

    fn report(id: u64, leader: Option<u64>, term: u64, applied: u64) -> Option<Report> {
        Some(Report {
            node: id,
            leader,
            term,
            voters: vec![1, 2, 3],
            applied: Some(applied),
            last_log: Some(applied + 1),
            ..Report::default()
        })
    }

    #[test]
    fn the_leader_is_who_says_so_in_the_highest_term() {
        let mut nodes = vec![
            // Cut off: it does not know of its end.
            node(1, report(1, Some(1), 4, 90)),
            node(2, report(2, Some(2), 5, 120)),
            node(3, report(3, Some(2), 5, 100)),
            node(4, None),
        ];
        let (leader, term) = leader(&nodes);
        assert_eq!((leader, term), (Some(2), 5));
        fill(&mut nodes, leader, term);
        let votes: Vec<bool> = nodes.iter().map(|node| node.voter).collect();
        assert_eq!(votes, [true, true, true, false]);
        assert_eq!(nodes[2].lag, Some(21));
        assert_eq!(nodes[3].lag, None);
    }

    #[test]
    fn a_voter_that_was_removed_by_half_still_counts() {
        let nodes = vec![
            node(1, report(1, Some(1), 4, 90)),
            node(3, report(3, Some(1), 4, 90)),
        ];
        let ghosts = ghosts(&nodes, Some(1));
        assert_eq!(ghosts.len(), 1);
        assert!(ghosts[0].node == 2 && ghosts[0].voter && ghosts[0].report.is_none());
    }

    #[test]
    fn a_leader_that_does_not_answer_is_none() {
        let nodes = vec![node(1, None), node(2, report(2, Some(1), 4, 90))];
        assert_eq!(leader(&nodes), (None, 4));
    }

    #[test]
    fn a_store_that_one_node_cannot_rely_on_is_a_problem_of_all() {
        let mut nodes = vec![
            node(1, report(1, Some(1), 4, 90)),
            node(2, report(2, Some(1), 4, 90)),
        ];
        for node in &mut nodes {
            let report = node.report.as_mut().unwrap();
            report.voters = vec![BUCKET, 1, 2];
            report.third = Some(Third::default());
        }
        assert!(third(&nodes, Some(1)).unwrap().fit());
        let follower = nodes[1].report.as_mut().unwrap();
        follower.third.as_mut().unwrap().unreliable = Some("it forgets".into());
        let vote = third(&nodes, Some(1)).unwrap();
        assert!(!vote.fit());
        let problem = vote.told.problem.unwrap();
        assert!(
            problem.contains("node 2") && problem.ends_with("it forgets"),
            "{problem}"
        );
    }
}
