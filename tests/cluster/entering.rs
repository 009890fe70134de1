//! Nodes that find and join each other without a person.

use std::path::Path;

use anyhow::ensure;
use postrider_tests::{Cluster, Plan, Roles};

use crate::{ALICE, BINARY, SOON, count, deliver, message, turn, until};

/// Where the nodes stand: the first may found.
const FOUNDER: usize = 0;
const SECOND: usize = 1;
const THIRD: usize = 2;
const FRONTEND: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_a_secret_form_one_cluster_and_only_one() -> anyhow::Result<()> {
    let _turn = turn().await?;
    let mut cluster = Cluster::enter(
        BINARY,
        Plan {
            roles: &[Roles::Meta, Roles::Meta, Roles::Meta, Roles::Frontend],
            ..Plan::default()
        },
    )
    .await?;
    let id = cluster.node(SECOND).cluster().await?["cluster"].clone();
    for (_, member) in cluster.nodes() {
        ensure!(member.cluster().await?["cluster"] == id, "two clusters");
    }
    let at = cluster.node(FRONTEND).addresses().clone();
    deliver(&at, ALICE, &message("first", "x")).await?;

    comes_and_goes(&mut cluster).await?;
    founds_nothing_while_others_are_there(&mut cluster).await?;
    founds_nothing_in_a_store_that_has_a_cluster(&mut cluster).await?;
    let at = cluster.node(FRONTEND).addresses().clone();
    ensure!(count(&at, ALICE).await? == 1);
    another_secret_opens_nothing(&mut cluster).await?;
    ensure!(cluster.node(SECOND).cluster().await?["cluster"] == id);
    cluster.finish().await
}

/// A frontend that is stopped is no longer listed; started again it is another node.
async fn comes_and_goes(cluster: &mut Cluster) -> anyhow::Result<()> {
    let before = cluster.node_mut(FRONTEND).number()?;
    cluster.node_mut(FRONTEND).stop().await?;
    let status = cluster.node(SECOND).cluster().await?;
    let listed = status["nodes"]
        .as_array()
        .is_some_and(|nodes| nodes.iter().any(|node| node["node"] == before));
    ensure!(!listed, "a frontend that has left is listed: {status}");
    let identity = cluster.node(FRONTEND).dir().join("data/cluster");
    ensure!(!identity.exists(), "it keeps what it was");
    cluster.node_mut(FRONTEND).start_again().await?;
    let after = cluster.node_mut(FRONTEND).number()?;
    ensure!(after > before, "{after} is not a new node after {before}");
    Ok(())
}

/// The founder has lost its disk: it joins what it once founded.
async fn founds_nothing_while_others_are_there(cluster: &mut Cluster) -> anyhow::Result<()> {
    let before = cluster.node_mut(FOUNDER).number()?;
    cluster.node_mut(FOUNDER).kill().await?;
    std::fs::remove_dir_all(cluster.node(FOUNDER).dir().join("data"))?;
    cluster.node_mut(FOUNDER).start_again().await?;
    ensure!(cluster.node_mut(FOUNDER).number()? > before);
    cluster.until_settled().await
}

/// The same, but nobody is there to tell: the object store refuses a second founding,
/// which leaves nothing behind.
async fn founds_nothing_in_a_store_that_has_a_cluster(cluster: &mut Cluster) -> anyhow::Result<()> {
    for place in [FOUNDER, SECOND, THIRD, FRONTEND] {
        cluster.node_mut(place).kill().await?;
    }
    let data = cluster.node(FOUNDER).dir().join("data");
    std::fs::remove_dir_all(&data)?;
    cluster.node_mut(FOUNDER).spawn()?;
    until(
        "it tells that the store is another cluster's",
        SOON,
        async || {
            let log = cluster.node(FOUNDER).log();
            let (_, since) = log.rsplit_once("founding the cluster").unwrap_or_default();
            Ok(since.contains("object store").then_some(()))
        },
    )
    .await?;
    ensure!(!data.join("store.claim").exists(), "its claim is left");
    for place in [SECOND, THIRD, FRONTEND] {
        cluster.node_mut(place).spawn()?;
    }
    for place in [FOUNDER, SECOND, THIRD, FRONTEND] {
        cluster.node_mut(place).await_ready().await?;
        cluster.node_mut(place).number()?;
    }
    cluster.until_settled().await
}

/// A node that has another secret waits in vain, and ends when it is told to.
async fn another_secret_opens_nothing(cluster: &mut Cluster) -> anyhow::Result<()> {
    cluster.node_mut(FRONTEND).stop().await?;
    let file = cluster.node(FRONTEND).dir().join("other.secret");
    std::fs::write(&file, "fedcba9876543210fedcba9876543210")?;
    cluster.node_mut(FRONTEND).set_join_secret(Path::new(&file));
    cluster.node_mut(FRONTEND).spawn()?;
    until("it tells that the secret is another", SOON, async || {
        let log = cluster.node(FRONTEND).log();
        Ok(log.contains("the join secret is another one").then_some(()))
    })
    .await?;
    let status = cluster.node(SECOND).cluster().await?;
    ensure!(
        status["nodes"].as_array().map(Vec::len) == Some(3),
        "{status}"
    );
    cluster.node_mut(FRONTEND).stop().await
}
