//! Programs of different versions in one cluster: an upgrade node by node, and who
//! is refused when.

use std::time::Duration;

use anyhow::ensure;
use postrider_tests::{Cluster, Member, Plan, Roles};
use serde_json::Value;

use crate::{ALICE, SOON, count, deliver, message, start, until};

/// What says which program the binary plays.
const KNOWS: &str = "POSTRIDER_TEST_KNOWS";
/// The setting that holds the version back.
const HOLD: &str = "POSTRIDER__META__HOLD_VERSION";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_version_is_raised_when_every_node_was_upgraded() -> anyhow::Result<()> {
    let mut turn = start(Plan::default()).await?;
    let cluster = &mut turn.cluster;
    until_version(cluster, 1).await?;
    let mut sent = 0;
    for place in 0..3 {
        restart(cluster, place, &[(KNOWS, "2"), (HOLD, "1")]).await?;
        // Each understands the others meanwhile, in both directions.
        for member in 0..3 {
            sent += 1;
            let text = message(&format!("number {sent}"), "x");
            deliver(cluster.node(member).addresses(), ALICE, &text).await?;
        }
    }
    let status = cluster.status().await?.1;
    ensure!(status["cluster_version"] == 1, "{status:#}");
    let note = until("the note", SOON, async || note(cluster).await).await?;
    ensure!(note.contains("node 1 holds it at 1"), "{note}");

    // Back again while it is held.
    restart(cluster, 1, &[(KNOWS, "1"), (HOLD, "1")]).await?;
    restart(cluster, 1, &[(KNOWS, "2"), (HOLD, "1")]).await?;

    for place in 0..3 {
        restart(cluster, place, &[(KNOWS, "2"), (HOLD, "2")]).await?;
    }
    until_version(cluster, 2).await?;
    let metric = cluster.node(0).metric("postrider_cluster_version").await?;
    ensure!(metric == 2.0, "{metric}");

    // From now on the old program is refused, and no other one loses anything by it.
    let node = cluster.node_mut(2);
    node.stop().await?;
    let reason = fails(node, "1").await?;
    ensure!(reason.contains("it is too old"), "{reason}");
    let reason = fails(node, "4").await?;
    ensure!(reason.contains("it is too new"), "{reason}");
    // Two ahead of the others' programs, but it works in the cluster's version.
    start_as(cluster, 2, &[(KNOWS, "3"), (HOLD, "2")]).await?;
    for (_, member) in cluster.nodes() {
        ensure!(count(member.addresses(), ALICE).await? == sent);
    }
    turn.cluster.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_of_another_version_does_not_join() -> anyhow::Result<()> {
    let mut turn = start(Plan {
        roles: &[Roles::Both],
        ..Plan::default()
    })
    .await?;
    let cluster = &mut turn.cluster;
    restart(cluster, 0, &[(KNOWS, "2")]).await?;
    until_version(cluster, 2).await?;
    let token = cluster.token().await?;
    // The binary as it is knows version 1.
    for roles in [Roles::Both, Roles::Frontend] {
        let refused = cluster.join_with(roles, &token).await;
        let refused = refused.map(|_| ()).unwrap_err().to_string();
        ensure!(refused.contains("too old"), "{refused}");
    }
    turn.cluster.finish().await
}

/// Stops a node in order and starts it as another program.
async fn restart(
    cluster: &mut Cluster,
    place: usize,
    environment: &[(&str, &str)],
) -> anyhow::Result<()> {
    cluster.node_mut(place).stop().await?;
    start_as(cluster, place, environment).await
}

async fn start_as(
    cluster: &mut Cluster,
    place: usize,
    environment: &[(&str, &str)],
) -> anyhow::Result<()> {
    let node = cluster.node_mut(place);
    node.set_environment(environment);
    node.start_again().await?;
    cluster.until_settled().await
}

/// Starts a program that knows `newest`, which must end by itself; why it did.
async fn fails(node: &mut Member, newest: &str) -> anyhow::Result<String> {
    node.set_environment(&[(KNOWS, newest)]);
    let before = node.log().len();
    node.spawn()?;
    let status = node.ended().await?;
    ensure!(!status.success(), "it went on");
    Ok(node.log().split_off(before))
}

async fn until_version(cluster: &Cluster, version: u32) -> anyhow::Result<()> {
    until("the version", Duration::from_secs(60), async || {
        let status = cluster.status().await?.1;
        Ok((status["cluster_version"] == version).then_some(()))
    })
    .await
}

/// What `cluster status` says about a version that is not raised.
async fn note(cluster: &Cluster) -> anyhow::Result<Option<String>> {
    let status = cluster.status().await?.1;
    let notes = status["notes"].as_array().map_or(&[][..], Vec::as_slice);
    let texts = notes.iter().filter_map(Value::as_str);
    let mut found = texts.filter(|text| text.contains("is not raised to"));
    Ok(found.next().map(str::to_owned))
}
