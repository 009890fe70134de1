//! Work for all of the cluster is done by one node, and by another when it dies.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use postrider_tests::{Cluster, Plan};

use crate::{ALICE, SOON, deliver, message, start, until};

/// How long another node may take to go on.
const WITHIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packing_goes_on_when_its_node_is_killed() -> anyhow::Result<()> {
    let mut turn = start(Plan::default()).await?;
    let cluster = &mut turn.cluster;
    let holder = until("a node has the lease", SOON, async || holder(cluster).await).await?;
    mail(cluster, holder).await?;
    until("bodies are packed", SOON, async || {
        packed(cluster, holder).await
    })
    .await?;

    cluster.node_mut(holder).kill().await?;
    let died = Instant::now();
    let other = (holder + 1) % 3;
    mail(cluster, other).await?;
    until("bodies are packed by another node", WITHIN, async || {
        packed(cluster, other).await
    })
    .await?;
    println!(
        "packing went on {:.1?} after its node was killed",
        died.elapsed()
    );
    let heir = self::holder(cluster)
        .await?
        .context("nobody has the lease")?;
    assert_ne!(heir, holder);
    cluster.node_mut(holder).start_again().await?;
    cluster.until_settled().await?;
    turn.cluster.finish().await
}

/// Delivers something to pack.
async fn mail(cluster: &Cluster, place: usize) -> anyhow::Result<()> {
    for number in 0..10 {
        let text = message(&format!("m{number}"), &"to be packed\r\n".repeat(100));
        deliver(cluster.node(place).addresses(), ALICE, &text).await?;
    }
    Ok(())
}

/// Whether no body is inline any more, as a node sees it.
async fn packed(cluster: &Cluster, place: usize) -> anyhow::Result<Option<()>> {
    let status = cluster.node(place).api("/v1/status").await?;
    let inline = status["inline_bytes"].as_u64();
    Ok((inline.context("no inline_bytes")? == 0).then_some(()))
}

/// The place of the node with the lease for background work.
async fn holder(cluster: &Cluster) -> anyhow::Result<Option<usize>> {
    for (place, member) in cluster.nodes().filter(|(_, member)| member.runs()) {
        let view = member.cluster().await?;
        let nodes = view["nodes"].as_array().context("no nodes")?;
        let own = nodes.iter().find(|node| node["node"] == member.id());
        let leases = own.and_then(|node| node["report"]["leases"].as_array());
        if leases.is_some_and(|leases| leases.iter().any(|lease| lease == "background")) {
            return Ok(Some(place));
        }
    }
    Ok(None)
}
