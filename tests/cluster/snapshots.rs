//! Snapshots of the metadata in the bucket.

use std::time::Duration;

use postrider_tests::{Cluster, Plan};

use crate::{ALICE, count, message, smtp, start, until};

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
    let before = carried(cluster);
    let within = Duration::from_secs(60);
    until("a snapshot is carried to the bucket", within, async || {
        for _ in 0..20 {
            let text = message(&format!("m{sent}"), &"a line of text\r\n".repeat(1000));
            let reply = smtp.deliver("s@outside.test", ALICE, &text).await?;
            assert_eq!(reply.code, 250, "{reply:?}");
            sent += 1;
        }
        Ok((carried(cluster) > before).then_some(()))
    })
    .await?;

    cluster.node_mut(away).start_again().await?;
    cluster.until_settled().await?;
    let log = cluster.node(away).log();
    assert!(log.contains("loads a snapshot from the archive"), "{log}");
    assert_eq!(count(cluster.node(away).addresses(), ALICE).await?, sent);
    turn.cluster.finish().await
}

/// How many snapshots nodes have carried to the bucket so far.
fn carried(cluster: &Cluster) -> usize {
    let logs = cluster.nodes().map(|(_, member)| member.log());
    logs.map(|log| log.matches("archived a snapshot").count())
        .sum()
}
