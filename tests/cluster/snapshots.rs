//! Snapshots of the metadata in the bucket.

use std::time::Duration;

use postrider_tests::{Cluster, Plan};

use crate::{ALICE, count, message, smtp, start, until};

/// Setting up a cluster takes fewer entries.
const SETUP: u64 = 80;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_for_long_loads_a_snapshot_from_the_bucket() -> anyhow::Result<()> {
    let mut turn = start(Plan {
        settings: "[meta]\nsegment_bytes = \"1MiB\"\nsnapshot_bytes = \"1MiB\"\nkeep_entries = 1\n",
        ..Plan::default()
    })
    .await?;
    let cluster = &mut turn.cluster;
    let away = cluster.follower().await?;
    let at = cluster.node((away + 1) % 3).addresses().clone();
    cluster.node_mut(away).kill().await?;

    // More than the log keeps.
    let mut sent = 0;
    let mut smtp = smtp(at.smtp).await?;
    let within = Duration::from_secs(60);
    until("a snapshot is carried to the bucket", within, async || {
        for _ in 0..20 {
            let text = message(&format!("m{sent}"), &"a line of text\r\n".repeat(1000));
            let reply = smtp.deliver("s@outside.test", ALICE, &text).await?;
            assert_eq!(reply.code, 250, "{reply:?}");
            sent += 1;
        }
        Ok((carried(cluster) > SETUP).then_some(()))
    })
    .await?;

    cluster.node_mut(away).start_again().await?;
    cluster.until_settled().await?;
    let log = cluster.node(away).log();
    assert!(log.contains("loads a snapshot from the archive"), "{log}");
    assert_eq!(count(cluster.node(away).addresses(), ALICE).await?, sent);
    turn.cluster.finish().await
}

/// The last entry of the newest snapshot that nodes have carried to the bucket: its
/// key ends with the term, the entry, the time and a number.
fn carried(cluster: &Cluster) -> u64 {
    let logs = cluster.nodes().map(|(_, member)| member.log());
    let newest = |log: String| {
        let lines = log.lines().filter(|it| it.contains("archived a snapshot"));
        let entry = |line: &str| line.split('-').rev().nth(2)?.parse().ok();
        lines.filter_map(entry).max()
    };
    logs.filter_map(newest).max().unwrap_or(0)
}
