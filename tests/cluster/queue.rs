//! The queue of outbound mail while the nodes that send it die.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use postrider_route::testing::{Data, DnsServer};
use postrider_tests::{Act, Cluster, Peer, Plan, Smtp, Stage};
use tokio::time::sleep;

use crate::fleet::CAROL;
use crate::{ALICE, BOB, PASSWORD, start};

/// Messages that are queued.
const MESSAGES: usize = 1000;
/// How often the node that sends most is killed.
const KILLS: usize = 8;
/// A lease lasts a minute: what a dead node had in hand is sent again after that.
const PATIENCE: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_queued_message_arrives_whatever_node_dies() -> anyhow::Result<()> {
    let open = Arc::new(AtomicBool::new(false));
    let opened = open.clone();
    let peer = Peer::scripted(move |stage, _, _| match stage {
        // Nothing leaves before all is queued.
        Stage::Greeting if !opened.load(Ordering::SeqCst) => Act::Reply("421 4.3.2 later".into()),
        // So that there is always something on its way.
        Stage::End => Act::AcceptAfter(Duration::from_millis(300)),
        _ => Act::Accept,
    })
    .await?;
    let dns = DnsServer::start().await;
    dns.add_zone("outside.test", false);
    dns.add("outside.test", Data::mx(10, "mx.outside.test"));
    dns.add("mx.outside.test", Data::address(peer.address().ip()));
    let settings = format!(
        "[queue]\nport = {}\nloopback = true\nwindow = 60\nretry = [\"1s\"]\n\
         longest_rest = \"1s\"\nconnections_per_destination = 5\n\
         [queue.dns]\nservers = [\"{}\"]\n",
        peer.address().port(),
        dns.address(),
    );
    let mut turn = start(Plan {
        settings: &settings,
        ..Plan::default()
    })
    .await?;
    let cluster = &mut turn.cluster;
    submit(cluster).await?;
    ensure!(peer.taken().is_empty());
    open.store(true, Ordering::SeqCst);
    let began = Instant::now();
    for kill in 0..KILLS {
        // Another one each time, and the leader among them.
        let victim = kill % 3;
        cluster.node_mut(victim).kill().await?;
        sleep(Duration::from_secs(1)).await;
        cluster.node_mut(victim).start_again().await?;
        sleep(Duration::from_secs(1)).await;
    }
    println!(
        "{:.1?}: {KILLS} nodes were killed, {} messages have arrived",
        began.elapsed(),
        peer.taken().len(),
    );
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    while times.len() < MESSAGES {
        ensure!(
            began.elapsed() < PATIENCE,
            "{} of {MESSAGES} arrived",
            times.len()
        );
        sleep(Duration::from_millis(200)).await;
        times.clear();
        for taken in peer.taken() {
            let subject = taken
                .content
                .lines()
                .find(|line| line.starts_with("Subject: "));
            *times
                .entry(subject.unwrap_or_default().to_owned())
                .or_default() += 1;
        }
    }
    let twice = times.values().filter(|times| **times > 1).count();
    let most = times.values().max().copied().unwrap_or_default();
    println!(
        "{:.1?}: all {MESSAGES} have arrived, {twice} of them more than once, at most {most} times",
        began.elapsed(),
    );
    // Only what a node was sending as it died may come again: as many as it had
    // connections.
    ensure!(twice <= KILLS * 5, "{twice} messages came more than once");
    cluster.until_settled().await?;
    until_empty(cluster).await?;
    turn.cluster.finish().await
}

/// Three users send, each through a node of its own.
async fn submit(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.node(0).account(CAROL).await?;
    let mut sessions = Vec::new();
    for ((_, member), user) in cluster.nodes().zip([ALICE, BOB, CAROL]) {
        let mut smtp = Smtp::connect(member.addresses().submission).await?;
        smtp.expect(250, "EHLO client.test").await?;
        smtp.login(user, PASSWORD).await?;
        sessions.push((smtp, user));
    }
    for number in 0..MESSAGES {
        let at = number % sessions.len();
        let (smtp, user) = &mut sessions[at];
        let text = format!("From: <{user}>\r\nSubject: number {number}\r\n\r\nHello.\r\n");
        let reply = smtp.deliver(user, "carl@outside.test", &text).await?;
        ensure!(reply.code == 250, "{reply:?}");
    }
    Ok(())
}

/// What the last node to die had already handed over is settled by its next lease.
async fn until_empty(cluster: &Cluster) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let stats = cluster.node(0).api("/v1/queue/stats").await?;
        if stats["entries"] == 0 {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "still queued: {stats}");
        sleep(Duration::from_millis(200)).await;
    }
}
