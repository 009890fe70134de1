//! A cluster of two grows to three and shrinks to two again, while mail flows.

use anyhow::ensure;
use postrider_tests::{Plan, Roles};

use crate::faults::{accounts, compare};
use crate::fleet::Fleet;
use crate::start;

/// Steps of each kind of client between two changes.
const STEPS: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_become_three_and_two_again_under_load() -> anyhow::Result<()> {
    let mut turn = start(Plan {
        roles: &[Roles::Both; 2],
        ..Plan::default()
    })
    .await?;
    let cluster = &mut turn.cluster;
    accounts(cluster).await?;
    let (fleet, clients) = Fleet::launch(cluster);
    fleet.progress(STEPS).await?;

    let third = cluster.join(Roles::Both).await?;
    fleet.add(cluster.node(third).configured().clone());
    cluster.until_settled().await?;
    fleet.progress(STEPS).await?;
    let status = cluster.node(0).cluster().await?;
    ensure!(status["safe"] == true, "{status}");

    // The leader goes: who stays goes on.
    let leaver = cluster.leader().await?;
    fleet.fault(leaver);
    cluster.remove(leaver).await?;
    cluster.node_mut(leaver).ended().await?;
    cluster.until_settled().await?;
    fleet.progress(STEPS).await?;

    fleet.land(clients).await?;
    compare(cluster, &fleet).await?;
    println!("{}; {}; {}", fleet.delivered, fleet.carried, fleet.drained);
    turn.cluster.finish().await
}
