//! Two nodes and the vote of the bucket, on an S3 server: either node may die.
//! `tests/s3` has the server; a folder cannot vote.

use std::time::Instant;

use anyhow::ensure;
use postrider_tests::{Cluster, Plan, Roles};

use crate::faults::{accounts, compare};
use crate::fleet::Fleet;
use crate::recovery::{archived, mark};
use crate::{ALICE, SOON, count, deliver, message, start, until};

/// Steps of clients of each kind between two faults.
const STEPS: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an S3 server: tests/s3"]
async fn either_of_two_nodes_dies_and_nothing_acknowledged_is_lost() -> anyhow::Result<()> {
    let mut turn = start(Plan {
        roles: &[Roles::Both; 2],
        // Small, so that faults also hit snapshots and the purging of the log.
        settings: "[meta]\nsegment_bytes = \"1MiB\"\nsnapshot_bytes = \"2MiB\"\n",
        ..Plan::default()
    })
    .await?;
    let cluster = &mut turn.cluster;
    accounts(cluster).await?;
    until_safe(cluster).await?;
    let began = Instant::now();
    let tell = |what: &str| println!("{:5.1?}: {what}", began.elapsed());
    let (fleet, clients) = Fleet::launch(cluster);
    fleet.progress(STEPS).await?;
    // The second time the survivor of the first has to be done without.
    for _ in 0..2 {
        let leader = cluster.leader().await?;
        for place in [leader, 1 - leader] {
            tell(&format!("node {} is killed", place + 1));
            fleet.fault(place);
            cluster.node_mut(place).kill().await?;
            fleet.progress(STEPS).await?;
            tell("it comes back");
            cluster.node_mut(place).start_again().await?;
            until_safe(cluster).await?;
            fleet.mend(place);
            fleet.progress(STEPS).await?;
        }
    }
    fleet.land(clients).await?;
    compare(cluster, &fleet).await?;
    println!("{}; {}; {}", fleet.delivered, fleet.carried, fleet.drained);
    turn.cluster.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an S3 server: tests/s3"]
async fn the_cluster_of_two_is_built_from_the_bucket_alone() -> anyhow::Result<()> {
    let mut turn = start(Plan {
        roles: &[Roles::Both; 2],
        ..Plan::default()
    })
    .await?;
    let cluster = &mut turn.cluster;
    until_safe(cluster).await?;
    // With a survivor and the bucket alone as the majority.
    let leader = cluster.leader().await?;
    cluster.node_mut(leader).kill().await?;
    let at = cluster.node(1 - leader).addresses().clone();
    until("the survivor takes mail", SOON, async || {
        let sent = deliver(&at, ALICE, &message("alone", "x")).await;
        Ok(sent.is_ok().then_some(()))
    })
    .await?;
    // The lease of the one that archived has to run out first.
    until("the survivor archives", SOON, async || {
        Ok(archived(cluster).await?.filter(|entry| *entry > 0))
    })
    .await?;
    mark(cluster, &at).await?;
    cluster.lose_all().await?;
    let (first, told) = cluster.recover(&[]).await?;
    ensure!(
        told["missing"].as_array().is_some_and(Vec::is_empty),
        "{told}"
    );
    let second = cluster.join(Roles::Both).await?;
    until_safe(cluster).await?;
    ensure!(count(cluster.node(second).addresses(), ALICE).await? == 1);
    cluster.node(first).cli(&["verify"]).await?;
    turn.cluster.finish().await
}

/// Waits until any one may fail: both nodes, and the bucket with its vote.
async fn until_safe(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.until_settled().await?;
    until("the bucket has the third vote", SOON, async || {
        let (safe, status) = cluster.status().await?;
        Ok((safe && status["third"]["votes"] == true).then_some(()))
    })
    .await
}
