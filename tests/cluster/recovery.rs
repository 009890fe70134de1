//! The bucket is the backup: all disks are lost, and a new cluster is built from it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use postrider_tests::{Addresses, Cluster, Plan};

use crate::{ALICE, BOB, SOON, count, deliver, inbox, message, start, until};

/// How long the archive may take to have what was acknowledged.
const ARCHIVED: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_built_from_the_bucket_alone() -> anyhow::Result<()> {
    let mut turn = start(Plan::default()).await?;
    let cluster = &mut turn.cluster;
    let at = cluster.node(0).addresses().clone();
    for number in 0..10 {
        let text = message(&format!("m{number}"), &"to be packed\r\n".repeat(100));
        deliver(&at, ALICE, &text).await?;
    }
    deliver(&at, ALICE, &noise("large", 3000)).await?;
    until("bodies are packed", SOON, async || {
        let status = cluster.node(0).api("/v1/status").await?;
        Ok((status["inline_bytes"] == 0).then_some(()))
    })
    .await?;
    // One that is inline when the lights go out.
    deliver(&at, ALICE, &message("last", "inline")).await?;
    let all = texts(&at).await?;
    let moment = mark(cluster, &at).await?;
    let mut imap = inbox(&at, ALICE).await?;
    imap.run("STORE 2:4 +FLAGS (\\Deleted)").await?.ok()?;
    imap.run("EXPUNGE").await?.ok()?;
    deliver(&at, ALICE, &message("later", "later")).await?;
    let later = texts(&at).await?;
    assert_eq!((all.len(), later.len()), (12, 10));
    mark(cluster, &at).await?;
    let printed = cluster.node(0).cli(&["verify"]).await?;
    assert!(printed.contains("no difference"), "{printed}");

    let refused = cluster
        .recover(&[])
        .await
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("lives"), "{refused}");
    let old = cluster.id().await?;
    cluster.lose_all().await?;
    let (first, told) = cluster.recover(&[]).await?;
    assert!(
        told["missing"].as_array().is_some_and(Vec::is_empty),
        "{told}"
    );
    assert_eq!(told["accounts"], 2, "{told}");
    assert_eq!(told["from"], old, "{told}");
    let at = cluster.node(first).addresses().clone();
    assert_eq!(texts(&at).await?, later);
    deliver(&at, ALICE, &message("new", "taken again")).await?;
    assert_eq!(count(&at, ALICE).await?, 11);
    cluster.node(first).cli(&["check"]).await?;
    let printed = cluster.node(first).cli(&["verify", "--quick"]).await?;
    assert!(printed.contains("no difference"), "{printed}");
    until("the new cluster archives", SOON, async || {
        Ok(archived(cluster).await?.filter(|entry| *entry > 0))
    })
    .await?;

    // Back to before the deletion, from what the first cluster left.
    cluster.lose_all().await?;
    let refused = cluster.recover(&["--force"]).await.map(drop).unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains(&old), "{refused}");
    let arguments = ["--force", "--cluster", &old, "--at", &moment];
    let (second, told) = cluster.recover(&arguments).await?;
    assert!(
        told["missing"].as_array().is_some_and(Vec::is_empty),
        "{told}"
    );
    let at = cluster.node(second).addresses().clone();
    assert_eq!(texts(&at).await?, all);
    // It grows like any other.
    let third = cluster.join(postrider_tests::Roles::Both).await?;
    cluster.until_settled().await?;
    let at = cluster.node(third).addresses().clone();
    assert_eq!(texts(&at).await?, all);
    turn.cluster.finish().await
}

/// All of ALICE's messages.
async fn texts(at: &Addresses) -> anyhow::Result<Vec<String>> {
    let mut imap = inbox(at, ALICE).await?;
    let answer = imap.run("FETCH 1:* (UID BODY.PEEK[])").await?.ok()?;
    let fetched = answer.untagged.into_iter();
    Ok(fetched.filter(|line| line.contains("FETCH")).collect())
}

/// Waits until all that was done so far is archived; the moment after it.
pub(crate) async fn mark(cluster: &Cluster, at: &Addresses) -> anyhow::Result<String> {
    let (_, status) = cluster.status().await?;
    let nodes = status["nodes"].as_array().context("no nodes")?;
    let last = nodes
        .iter()
        .filter_map(|n| n["report"]["last_log"].as_u64());
    let last = last.max().context("nobody tells its log")?;
    deliver(at, BOB, &message("mark", "mark")).await?;
    until("it is archived", ARCHIVED, async || {
        Ok(archived(cluster).await?.filter(|entry| *entry > last))
    })
    .await?;
    let format = "+%Y-%m-%dT%H:%M:%S.%3NZ";
    let output = tokio::process::Command::new("date")
        .args(["-u", format])
        .output()
        .await?;
    ensure!(output.status.success(), "no date");
    // Whatever comes next is later by a millisecond at least.
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The last entry that is archived, as its node tells.
pub(crate) async fn archived(cluster: &Cluster) -> anyhow::Result<Option<u64>> {
    let (_, status) = cluster.status().await?;
    let nodes = status["nodes"].as_array().context("no nodes")?;
    let told = nodes
        .iter()
        .filter_map(|n| n["report"]["archived"].as_u64());
    Ok(told.max())
}

/// A message of about `kilobytes` that does not compress.
fn noise(subject: &str, kilobytes: usize) -> String {
    let mut body = String::new();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    while body.len() < kilobytes * 1024 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        body.push_str(&format!("{:016x}{:016x}\r\n", seed, seed.rotate_left(29)));
    }
    message(subject, &body)
}
