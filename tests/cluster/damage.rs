//! A node whose Raft log is damaged believes nothing of it and gets all from the
//! others, under a new number. One whose log is an old copy says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use postrider_tests::{Cluster, Plan};
use postrider_types::{Clock as _, SystemClock};

use crate::{ALICE, SOON, count, deliver, message, start, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_is_mended_from_the_others() -> anyhow::Result<()> {
    let mut turn = start(Plan::default()).await?;
    let cluster = &mut turn.cluster;
    let place = cluster.follower().await?;
    let old = cluster.node(place).id();
    for number in 0..5 {
        let text = message(&format!("m{number}"), "body");
        deliver(cluster.node(place).addresses(), ALICE, &text).await?;
    }
    cluster.node_mut(place).stop().await?;
    flip_a_byte(&log(cluster, place))?;

    // Nobody is asked: the others can do without it.
    cluster.node_mut(place).start_again().await?;
    cluster.renumber(place)?;
    let new = cluster.node(place).id();
    ensure!(new > old, "number {new} after {old}");
    cluster.until_settled().await?;
    let told = cluster.node(place).log();
    ensure!(told.contains("the Raft log is damaged"), "{told}");
    ensure!(count(cluster.node(place).addresses(), ALICE).await? == 5);
    deliver(
        cluster.node(place).addresses(),
        ALICE,
        &message("after", "x"),
    )
    .await?;

    // A second time it is a person's turn, by the command that the error names.
    cluster.node_mut(place).stop().await?;
    flip_a_byte(&log(cluster, place))?;
    cluster.node_mut(place).spawn()?;
    let status = cluster.node_mut(place).ended().await?;
    ensure!(!status.success(), "{status}");
    let told = cluster.node(place).log_end(1);
    ensure!(told.contains("postrider cluster rejoin"), "{told}");
    ensure!(told.contains("data/meta/set-aside-"), "{told}");

    // Not while the others have no majority: nothing is changed then.
    let other = (place + 1) % 3;
    cluster.node_mut(other).kill().await?;
    let refused = cluster.rejoin(place).await;
    let refused = refused.expect_err("no majority answers").to_string();
    ensure!(refused.contains("nothing was changed"), "{refused}");
    cluster.node_mut(other).start_again().await?;

    let printed = cluster.rejoin(place).await?;
    ensure!(printed.contains("This is node"), "{printed}");
    cluster.node_mut(place).start_again().await?;
    cluster.until_settled().await?;
    ensure!(count(cluster.node(place).addresses(), ALICE).await? == 6);

    // One that was killed after it had given up what it was goes on by itself.
    cluster.node_mut(place).stop().await?;
    let data = cluster.node(place).dir().join("data");
    let aside = format!("set-aside-{}", SystemClock.now().0);
    fs::rename(data.join("cluster"), data.join(aside))?;
    cluster.node_mut(place).start_again().await?;
    cluster.renumber(place)?;
    cluster.until_settled().await?;
    ensure!(count(cluster.node(place).addresses(), ALICE).await? == 6);
    turn.cluster.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_put_back_is_told_and_made_anew() -> anyhow::Result<()> {
    let mut turn = start(Plan::default()).await?;
    let cluster = &mut turn.cluster;
    let leader = cluster.leader().await?;
    let place = cluster.follower().await?;
    let data = cluster.node(place).dir().join("data");
    let (old, lost) = (data.with_extension("old"), data.with_extension("lost"));
    cluster.node_mut(place).stop().await?;
    let copied = Command::new("cp").arg("-a").args([&data, &old]).status()?;
    ensure!(copied.success(), "cannot copy");
    cluster.node_mut(place).start_again().await?;
    cluster.until_settled().await?;
    for number in 0..5 {
        let text = message(&format!("m{number}"), "body");
        deliver(cluster.node(place).addresses(), ALICE, &text).await?;
    }
    cluster.same_state().await?;
    // At once after what it has acknowledged last.
    cluster.node_mut(place).kill().await?;
    fs::rename(&data, &lost)?;
    fs::rename(&old, &data)?;
    cluster.node_mut(place).spawn()?;

    // The same on each node: what it is, and what to do.
    for asked in [leader, place] {
        until("the status tells it", SOON, async || {
            let data = cluster.node(asked).dir().join("data");
            let data = data.to_string_lossy();
            let arguments = ["cluster", "status", "--dir", &data];
            let (status, printed) = cluster.node(asked).tool(&arguments, b"").await?;
            let told = printed.contains("lacks entries that it had confirmed")
                && printed.contains("postrider cluster rejoin");
            Ok((told && !status.success()).then_some(()))
        })
        .await?;
    }
    let (safe, status) = cluster.status().await?;
    ensure!(!safe, "{status:#}");
    let id = cluster.node(place).id();
    let mut nodes = status["nodes"].as_array().into_iter().flatten();
    let row = nodes.find(|node| node["node"] == id).context("no row")?;
    ensure!(row["report"]["lacks_confirmed"] == true, "{row:#}");
    let (code, ready) = cluster.node(place).http("/healthz/ready").await?;
    ensure!(code == 503 && ready.contains("cluster rejoin"), "{ready}");
    // The others go on, and say it once for as long as this takes.
    deliver(
        cluster.node(leader).addresses(),
        ALICE,
        &message("after", "x"),
    )
    .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(cluster.leader().await? == leader, "another one leads");
    for told_by in [leader, place] {
        let log = cluster.node(told_by).log();
        let told = log.lines().filter(|line| line.contains("ERROR"));
        let told: Vec<_> = told
            .filter(|line| line.contains("cluster rejoin"))
            .collect();
        ensure!(told.len() == 1, "{told:#?}");
    }

    cluster.node_mut(place).stop().await?;
    cluster.rejoin(place).await?;
    cluster.node_mut(place).start_again().await?;
    cluster.until_settled().await?;
    ensure!(count(cluster.node(place).addresses(), ALICE).await? == 6);
    turn.cluster.finish().await
}

fn log(cluster: &Cluster, place: usize) -> PathBuf {
    cluster.node(place).dir().join("data/meta/log")
}

/// Bytes of a segment before its first record.
const HEADER: usize = 4096;

/// Changes one byte of what is durable in the oldest segment.
fn flip_a_byte(log: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(log)?.collect::<Result<Vec<_>, _>>()?;
    let segments = entries.iter().map(fs::DirEntry::path);
    let segments = segments.filter(|path| path.extension().is_some_and(|end| end == "log"));
    let segment = segments.min().context("no segment")?;
    let mut bytes = fs::read(&segment)?;
    // In the first record.
    bytes[HEADER + 30] ^= 1;
    fs::write(&segment, bytes)?;
    Ok(())
}
