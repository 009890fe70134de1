//! Snapshots of the metadata in the bucket.

use std::path::Path;
use std::time::Duration;

use postrider_tests::{Cluster, Plan};

use crate::{ALICE, SOON, count, message, smtp, start, until};

/// Old snapshots are removed down to this many.
const KEPT: usize = 2;

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

    // More than the log keeps, several snapshots long.
    let mut sent = 0;
    let mut smtp = smtp(at.smtp).await?;
    let before = written(cluster)?;
    until(
        "snapshots come and go",
        Duration::from_secs(60),
        async || {
            for _ in 0..20 {
                let text = message(&format!("m{sent}"), &"a line of text\r\n".repeat(1000));
                let reply = smtp.deliver("s@outside.test", ALICE, &text).await?;
                assert_eq!(reply.code, 250, "{reply:?}");
                sent += 1;
            }
            let now = written(cluster)?;
            Ok((now.iter().filter(|name| !before.contains(*name)).count() >= KEPT).then_some(()))
        },
    )
    .await?;

    cluster.node_mut(away).start_again().await?;
    cluster.until_safe().await?;
    let log = cluster.node(away).log();
    assert!(
        log.contains("loaded a snapshot from the object store"),
        "{log}"
    );
    assert_eq!(count(cluster.node(away).addresses(), ALICE).await?, sent);
    until("old snapshots are removed", SOON, async || {
        Ok((written(cluster)?.len() <= KEPT).then_some(()))
    })
    .await?;
    turn.cluster.finish().await
}

/// The snapshots in the folder of bodies.
fn written(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    collect(&cluster.dir().join("bodies"), &mut found)?;
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.to_string_lossy().contains("snapshot") {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}
