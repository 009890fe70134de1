//! An upgrade from another build of the program, node by node under load, and back.
//! By hand: `tests/upgrade/run` builds what it needs.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use postrider_tests::{Cluster, Plan};
use serde_json::Value;

use crate::faults::{accounts, compare};
use crate::fleet::Fleet;
use crate::{start_with, until};

/// Steps of clients of each kind between two nodes.
const STEPS: usize = 25;
/// Holds the version back, where the program knows the setting.
const HOLD: &str = "POSTRIDER__META__HOLD_VERSION";

/// The programs, and the version that the old one works as.
struct Programs {
    old: String,
    new: String,
    hold: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs another build: tests/upgrade/run"]
async fn a_cluster_is_upgraded_under_load() -> anyhow::Result<()> {
    let of = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let old = of("POSTRIDER_OLD")?;
    let mut turn = start_with(&old, Plan::default()).await?;
    let cluster = &mut turn.cluster;
    let programs = Programs {
        new: of("POSTRIDER_NEW")?,
        old,
        hold: held(cluster).await?,
    };
    accounts(cluster).await?;
    let began = Instant::now();
    let tell = |what: &str| println!("{:5.1?}: {what}", began.elapsed());
    let (fleet, clients) = Fleet::launch(cluster);
    fleet.progress(STEPS).await?;

    let mut left = vec![0, 1, 2];
    while !left.is_empty() {
        let place = next(cluster, &mut left).await?;
        tell(&format!("node {} becomes the new program", place + 1));
        exchange(cluster, &fleet, place, &programs, true).await?;
    }
    for place in [0, 1] {
        tell(&format!("node {} becomes the old program again", place + 1));
        exchange(cluster, &fleet, place, &programs, false).await?;
    }
    for place in [0, 1] {
        tell(&format!("node {} becomes the new program again", place + 1));
        exchange(cluster, &fleet, place, &programs, true).await?;
    }
    tell("the version is let go");
    for place in 0..3 {
        restart(cluster, &fleet, place, &[]).await?;
    }
    let version = until(
        "the version is raised",
        Duration::from_secs(60),
        async || raised(cluster).await,
    );
    tell(&format!("the cluster works as version {}", version.await?));
    fleet.progress(STEPS).await?;

    fleet.land(clients).await?;
    compare(cluster, &fleet).await?;
    tell("all is there");
    println!("{}; {}; {}", fleet.delivered, fleet.carried, fleet.drained);
    turn.cluster.finish().await
}

/// Takes the next node out of those that are left: the followers first, the leader last.
async fn next(cluster: &Cluster, left: &mut Vec<usize>) -> anyhow::Result<usize> {
    let leader = cluster.leader().await?;
    let follower = left.iter().position(|place| *place != leader);
    Ok(left.remove(follower.unwrap_or(0)))
}

/// Stops a node in order and starts it as the other program.
async fn exchange(
    cluster: &mut Cluster,
    fleet: &Fleet,
    place: usize,
    programs: &Programs,
    to_new: bool,
) -> anyhow::Result<()> {
    let node = cluster.node_mut(place);
    let hold = [(HOLD, programs.hold.as_str())];
    let (binary, environment) = match to_new {
        true => (&programs.new, &hold[..]),
        // An older one may not know the setting.
        false => (&programs.old, &[][..]),
    };
    node.set_binary(binary);
    restart(cluster, fleet, place, environment).await
}

/// Its clients lose their connections, and nobody else loses anything.
async fn restart(
    cluster: &mut Cluster,
    fleet: &Fleet,
    place: usize,
    environment: &[(&str, &str)],
) -> anyhow::Result<()> {
    fleet.fault(place);
    let node = cluster.node_mut(place);
    node.stop().await?;
    node.set_environment(environment);
    node.start_again().await?;
    cluster.until_settled().await?;
    fleet.mend(place);
    fleet.progress(STEPS).await
}

/// What to hold the version at: as the old program works, or the first version.
async fn held(cluster: &Cluster) -> anyhow::Result<String> {
    let status = cluster.status().await?.1;
    let version = status["cluster_version"].as_u64().unwrap_or(1);
    Ok(version.to_string())
}

/// The cluster's version, once it is the newest that every program knows.
async fn raised(cluster: &Cluster) -> anyhow::Result<Option<u64>> {
    let status = cluster.status().await?.1;
    let nodes = status["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    let known = nodes
        .iter()
        .filter_map(|node: &Value| node["knows"].as_u64());
    let known = known.min().context("no node tells what it knows")?;
    let version = status["cluster_version"].as_u64().unwrap_or(0);
    ensure!(version <= known, "{status:#}");
    Ok((version == known).then_some(version))
}
