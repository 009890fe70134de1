//! Faults one after the other under a constant stream of mail and changes.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::ensure;
use postrider_tests::load::{compare_quota, messages};
use postrider_tests::{Cluster, Plan, Roles};

use crate::fleet::{CAROL, Fleet};
use crate::{ALICE, BOB, start};

/// Steps of clients of each kind between two faults.
const STEPS: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_whatever_node_dies() -> anyhow::Result<()> {
    let mut turn = start(Plan {
        // Small, so that faults also hit snapshots and the purging of the log.
        settings: "[meta]\nsegment_bytes = \"1MiB\"\nsnapshot_bytes = \"2MiB\"\n",
        ..Plan::default()
    })
    .await?;
    let cluster = &mut turn.cluster;
    accounts(cluster).await?;
    let began = Instant::now();
    let tell = |what: &str| println!("{:5.1?}: {what}", began.elapsed());
    let (fleet, clients) = Fleet::launch(cluster);
    fleet.progress(STEPS).await?;

    tell("the leader is killed");
    let leader = cluster.leader().await?;
    kill_and_start(cluster, &fleet, leader).await?;

    tell("a follower is killed");
    let follower = cluster.follower().await?;
    kill_and_start(cluster, &fleet, follower).await?;

    tell("a node is removed");
    let leaver = cluster.follower().await?;
    fleet.fault(leaver);
    cluster.remove(leaver).await?;
    cluster.node_mut(leaver).ended().await?;
    fleet.progress(STEPS).await?;
    tell("another joins with an empty disk");
    let newcomer = cluster.join(Roles::Both).await?;
    fleet.add(cluster.node(newcomer).configured().clone());
    cluster.until_settled().await?;
    fleet.progress(STEPS).await?;

    tell("all are killed at once");
    let all: Vec<usize> = cluster.nodes().map(|(place, _)| place).collect();
    all.iter().for_each(|place| fleet.fault(*place));
    for place in &all {
        cluster.node_mut(*place).kill().await?;
    }
    for place in &all {
        cluster.node_mut(*place).spawn()?;
    }
    for place in &all {
        cluster.node_mut(*place).await_ready().await?;
    }
    cluster.until_settled().await?;
    all.iter().for_each(|place| fleet.mend(*place));
    fleet.progress(STEPS).await?;

    fleet.land(clients).await?;
    tell("the clients have ended");
    compare(cluster, &fleet).await?;
    tell("all is there");
    println!("{}; {}; {}", fleet.delivered, fleet.carried, fleet.drained);
    turn.cluster.finish().await
}

/// The accounts of the clients, with room for all they send.
pub(crate) async fn accounts(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.node(0).account(CAROL).await?;
    for user in [ALICE, BOB, CAROL] {
        let limits = ["--quota", "100GiB", "--quota-messages", "1000000"];
        let arguments = [&["account", "set", user], &limits[..]].concat();
        cluster.node(0).cli(&arguments).await?;
    }
    Ok(())
}

/// SIGKILL; the clients go on without the node, and with it again.
async fn kill_and_start(cluster: &mut Cluster, fleet: &Fleet, place: usize) -> anyhow::Result<()> {
    fleet.fault(place);
    cluster.node_mut(place).kill().await?;
    fleet.progress(STEPS).await?;
    cluster.node_mut(place).start_again().await?;
    cluster.until_settled().await?;
    fleet.mend(place);
    fleet.progress(STEPS).await
}

/// Compares what every node shows with what the clients were told, and what one
/// shows with what another does.
pub(crate) async fn compare(cluster: &Cluster, fleet: &Fleet) -> anyhow::Result<()> {
    let mut shown: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    let serve = cluster
        .nodes()
        .filter(|(_, member)| member.roles().is_mail());
    for (place, member) in serve {
        let at = member.addresses();
        for (user, mailbox) in [
            (ALICE, "INBOX"),
            (BOB, "INBOX"),
            (BOB, "Archive"),
            (CAROL, "INBOX"),
        ] {
            let here = messages(at, user, mailbox).await?;
            let there = shown.entry((user, mailbox)).or_insert_with(|| here.clone());
            let differ = here.iter().zip(&*there).find(|(here, there)| here != there);
            ensure!(
                here == *there,
                "{user}'s {mailbox} has {} messages on node {} and {} on the first; {differ:.400?}",
                here.len(),
                place + 1,
                there.len(),
            );
        }
        for user in [ALICE, BOB, CAROL] {
            compare_quota(at, user).await?;
        }
    }
    let (_, any) = cluster.nodes().next().unwrap();
    fleet.delivered.compare(any.addresses()).await?;
    fleet.carried.compare(any.addresses()).await?;
    fleet.drained.compare(any.addresses()).await
}
