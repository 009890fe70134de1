//! `postrider cluster status`

use std::process::ExitCode;

use clap::Args;
use postrider_types::Role;

use super::super::output::{Output, columns, or_dash};
use super::super::words;
use crate::client::Client;
use crate::cluster::report;

/// Show the nodes of the cluster, and whether one may fail now
///
/// Any node can be asked. Exit code 0 if any one node may fail without harm, 1 if not, 2 if that
/// could not be found out.
///
/// VERSION is the release that a node runs, and the newest version of the cluster that this knows;
/// all obey the version in the first line. LAG is how many entries of the log a node has yet to apply; WORK is what it does for all:
/// "background" packs and cleans up, "snapshots" carries copies of the metadata to the bucket.
///
/// Example: postrider cluster status --dir /var/lib/postrider
#[derive(Args)]
pub(in crate::cli) struct Status {}

impl Status {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<ExitCode> {
        let status: report::Status = client.get("cluster").await?;
        match output.json {
            true => output.json(&status)?,
            false => output.print(&text(&status))?,
        }
        Ok(if status.safe {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

fn text(status: &report::Status) -> String {
    let leader = match status.leader {
        Some(leader) => format!("node {leader} leads in term {}", status.term),
        None => "nobody leads".to_owned(),
    };
    let mut text = format!(
        "Cluster {}{}, asked node {}: {leader}.\n\n",
        status.cluster,
        words::cluster_version(status.cluster_version),
        status.asked
    );
    let heads = [
        "NODE", "NAME", "ADDRESS", "ROLES", "STATE", "VOTE", "LAG", "BUCKET", "WORK", "VERSION",
    ];
    text += &columns(
        heads,
        status.nodes.iter().map(|node| row(node, status.leader)),
    );
    if let Some(third) = &status.third {
        text += &format!("\nThe bucket: {}.\n", words_of(third));
    }
    text += &format!("\n{}\n", status.verdict);
    // All nodes that know it say the same.
    let mut reports = status.nodes.iter().filter_map(|node| node.report.as_ref());
    if let Some(queue) = reports.find_map(|report| report.queue.as_ref()) {
        text += &format!(
            "Mail to other servers: {}.\n",
            words::queue(queue, words::now())
        );
    }
    for note in &status.notes {
        text += &format!("Note: {note}\n");
    }
    for node in &status.nodes {
        if let Some(reason) = &node.unreachable {
            text += &format!("Node {} was asked in vain: {reason}\n", node.node);
        }
    }
    text
}

/// The vote in the bucket, in words.
fn words_of(third: &report::Vote) -> String {
    let votes = match third.votes {
        true => "has the third vote",
        false => "has no vote yet",
    };
    let lag = match third.told.lag.filter(|_| third.votes) {
        Some(lag) => format!(", {lag} entries behind"),
        None => String::new(),
    };
    let problem = third.told.problem.as_ref();
    let problem = problem.map_or_else(String::new, |problem| format!("; {problem}"));
    format!("{votes}{lag}{problem}")
}

fn row(node: &report::Node, leader: Option<u64>) -> [String; 10] {
    let report = node.report.as_ref();
    let state = match report {
        None => "no answer",
        Some(report) if report.ready && report.reasons.is_empty() => "ready",
        Some(report) if report.ready => "degraded",
        Some(_) => "not ready",
    };
    let vote = match node.voter {
        true if Some(node.node) == leader => "leader",
        true => "yes",
        false => "-",
    };
    let bodies = report.filter(|_| !node.has(Role::Witness));
    let bucket = bodies.map(
        |report| match (report.bucket_readable, report.bucket_writable) {
            (true, true) => "ok",
            (true, false) => "no writes",
            (false, true) => "no reads",
            (false, false) => "away",
        },
    );
    let work = report.map(|report| report.leases.join(","));
    let roles: Vec<_> = node.roles.iter().map(ToString::to_string).collect();
    [
        node.node.to_string(),
        node.name.clone(),
        node.address.clone(),
        roles.join(","),
        state.to_owned(),
        vote.to_owned(),
        or_dash(node.lag),
        or_dash(bucket),
        or_dash(work.filter(|work| !work.is_empty())),
        format!("{} ({})", node.version, node.knows),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::api::Stats;

    #[test]
    fn it_shows_who_leads_and_who_does_not_answer() {
        let node = |id: u64, report| report::Node {
            node: id,
            name: format!("mail{id}"),
            address: format!("mail{id}:7425"),
            roles: Role::FULL.to_vec(),
            version: "0.1.0".into(),
            knows: 1,
            voter: true,
            lag: None,
            report,
            unreachable: None,
        };
        let ready = report::Report {
            node: 1,
            ready: true,
            bucket_readable: true,
            bucket_writable: true,
            leases: vec!["background".into()],
            queue: Some(Stats::default()),
            ..report::Report::default()
        };
        let mut away = node(2, None);
        away.unreachable = Some("connection refused".into());
        let status = report::Status {
            cluster: "c".repeat(32),
            asked: 1,
            leader: Some(1),
            term: 4,
            third: Some(report::Vote {
                votes: true,
                told: report::Third {
                    lag: Some(3),
                    ..report::Third::default()
                },
            }),
            cluster_version: Some(1),
            nodes: vec![node(1, Some(ready)), away],
            safe: false,
            verdict: "NOT safe: ...".into(),
            notes: vec!["look".into()],
        };
        let text = text(&status);
        for part in [
            ", cluster version 1, asked node 1: node 1 leads in term 4.",
            "NODE  NAME   ADDRESS     ROLES          STATE      VOTE    LAG  BUCKET  WORK        VERSION",
            "1     mail1  mail1:7425  meta,frontend  ready      leader  -    ok      background  0.1.0 (1)",
            "2     mail2  mail2:7425  meta,frontend  no answer  yes     -    -       -           0.1.0 (1)",
            "\nThe bucket: has the third vote, 3 entries behind.\n",
            "\nNOT safe: ...\nMail to other servers: the queue is empty.\nNote: look\nNode 2 was asked in vain: connection refused\n",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }
}
