//! A node's certificate comes to its end while the node runs.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use postrider_meta::{ReadAt, query};
use postrider_rpc::{Authority, KeyRequest};
use postrider_tests::{Cluster, Plan};
use tokio::time::Instant;

use crate::{ALICE, SOON, count, deliver, message, start, until};

/// How long the certificate is good: long enough to start a node, and half of its
/// time is over at once, as all certificates begin a day before.
const GOOD: Duration = Duration::from_secs(25);
/// The node that has it.
const NODE: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_renewed_and_shown_without_a_restart() -> anyhow::Result<()> {
    let mut turn = start(Plan::default()).await?;
    let cluster = &mut turn.cluster;
    cluster.node_mut(NODE).stop().await?;
    let authority = authority(cluster).await?;
    let folder = cluster.node(NODE).dir().join("data/cluster");
    let id = cluster.node(NODE).id();
    let end = Instant::now() + GOOD;
    let short = shorten(&folder, &authority, id)?;
    cluster.node_mut(NODE).start_again().await?;
    until("a new certificate", SOON, async || {
        let now = std::fs::read_to_string(folder.join("node.pem"))?;
        Ok((now != short).then_some(()))
    })
    .await?;
    cluster.until_settled().await?;
    ensure!(Instant::now() < end, "the machine is too slow for this");
    tokio::time::sleep_until(end).await;

    // Its connections are all made anew, from both sides.
    for other in [0, 1] {
        cluster.node_mut(other).kill().await?;
        cluster.node_mut(other).start_again().await?;
        cluster.until_settled().await?;
    }
    let (safe, status) = cluster.status().await?;
    ensure!(safe, "{status:#}");
    let at = cluster.node(NODE).addresses().clone();
    deliver(&at, ALICE, &message("later", "x")).await?;
    ensure!(count(cluster.node(0).addresses(), ALICE).await? == 1);
    let log = cluster.node(NODE).log();
    let renewed = log.matches("this node has a new certificate").count();
    ensure!(renewed == 1, "{renewed} renewals: {log}");
    turn.cluster.finish().await
}

/// The cluster's authority, which the metadata hold: asked as the node that is stopped.
async fn authority(cluster: &Cluster) -> anyhow::Result<Authority> {
    let file = cluster.node(NODE).dir().join("postrider.toml");
    let settings = postrider_node::settings::load(&file, std::iter::empty())?;
    let node = postrider_node::Node::start(settings).await?;
    let asked = node.meta().ask(query::Authority {}, ReadAt::Latest);
    let authority = asked.await?.0.context("there is no authority")?;
    node.shutdown().await?;
    Ok(Authority::from_pem(&authority.certificate, &authority.key)?)
}

/// Gives node `id` a certificate that ends soon.
fn shorten(folder: &Path, authority: &Authority, id: u64) -> anyhow::Result<String> {
    let request = KeyRequest::new()?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = authority.issue_for(&request.signing_request, id, &names, GOOD)?;
    std::fs::write(folder.join("node.key"), &request.key)?;
    std::fs::write(folder.join("node.pem"), &certificate)?;
    Ok(certificate)
}
