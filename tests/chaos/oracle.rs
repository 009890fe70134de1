//! What must hold when all is mended and the clients have ended.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use postrider_tests::load::{compare_quota, messages};
use postrider_tests::{Addresses, Cluster, Peer};
use tokio::time::{Instant, sleep};

use crate::fleet::Fleet;

/// What a node that died was sending is sent again after its lease of a minute.
const QUEUE: Duration = Duration::from_secs(200);

/// Everything that does not hold, and how many messages came to the outside server
/// more than once.
pub(crate) async fn ask(cluster: &Cluster, fleet: &Fleet, outside: &Peer) -> (Vec<String>, usize) {
    let mut wrongs = fleet.pace.journal().wrongs();
    let mut note = |what: &str, result: anyhow::Result<()>| {
        if let Err(error) = result {
            wrongs.push(format!("{what}: {error:#}"));
        }
    };
    note("the nodes", cluster.until_settled().await);
    note("the nodes show", same_everywhere(cluster, fleet).await);
    let nodes: Vec<&Addresses> = cluster.nodes().map(|(_, node)| node.addresses()).collect();
    if let Some(at) = nodes.first() {
        note("SMTP and flags", fleet.delivered.compare(at).await);
        note("IMAP", fleet.carried.compare(at).await);
        note("POP3", fleet.drained.compare(at).await);
    }
    let left = all_left(cluster, fleet, outside).await;
    let twice = left.as_ref().copied().unwrap_or_default();
    note("the queue", left.map(drop));
    note("the copies", cluster.same_state().await.map(drop));
    for (_, node) in cluster.nodes() {
        let checked = node.cli(&["check"]).await.map(drop);
        note(&format!("check on node {}", node.id()), checked);
    }
    (wrongs, twice)
}

/// What does not hold any more of an earlier episode.
pub(crate) async fn again(cluster: &Cluster, fleet: &Fleet) -> Vec<String> {
    let Some((_, node)) = cluster.nodes().last() else {
        return Vec::new();
    };
    let at = node.addresses();
    let compared = [
        fleet.delivered.compare(at).await,
        fleet.carried.compare(at).await,
        fleet.drained.compare(at).await,
    ];
    let wrong = |result: anyhow::Result<()>| {
        let error = result.err()?;
        Some(format!("later, of {}: {error:#}", fleet.users[0]))
    };
    compared.into_iter().filter_map(wrong).collect()
}

/// Every node shows the same messages, flags and bodies, and quotas are the sums.
async fn same_everywhere(cluster: &Cluster, fleet: &Fleet) -> anyhow::Result<()> {
    let [alice, bob, carol] = &fleet.users;
    let mut shown: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for (_, member) in cluster.nodes() {
        let at = member.addresses();
        for (user, mailbox) in [
            (alice, "INBOX"),
            (bob, "INBOX"),
            (bob, "Archive"),
            (carol, "INBOX"),
        ] {
            let here = messages(at, user, mailbox)
                .await
                .with_context(|| format!("{user}'s {mailbox} on node {}", member.id()))?;
            let there = shown.entry((user, mailbox)).or_insert_with(|| here.clone());
            let differ = here.iter().zip(&*there).find(|(here, there)| here != there);
            ensure!(
                here == *there,
                "{user}'s {mailbox} has {} messages on node {} and {} on the first; {differ:.400?}",
                here.len(),
                member.id(),
                there.len(),
            );
        }
        for user in &fleet.users {
            compare_quota(at, user).await?;
        }
    }
    Ok(())
}

/// All that was queued has come to the outside server, and nothing is queued any
/// more; how many messages came more than once.
async fn all_left(cluster: &Cluster, fleet: &Fleet, outside: &Peer) -> anyhow::Result<usize> {
    let deadline = Instant::now() + QUEUE;
    loop {
        let missing = fleet.outward.missing(&outside.taken())?;
        let stats = cluster.node(0).api("/v1/queue/stats").await?;
        if missing.is_empty() && stats["entries"] == 0 {
            break;
        }
        ensure!(
            Instant::now() < deadline,
            "not sent: messages {missing:?}; queued: {stats}"
        );
        sleep(Duration::from_millis(500)).await;
    }
    fleet.outward.compare(&outside.taken())
}
