//! A disk that fills up. Needs the right to mount a file system of its own.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use postrider_tests::{Addresses, Cluster, Plan};

use crate::{ALICE, SOON, count, deliver, inbox, message, smtp, start, until};

/// Of the disk of each node.
const MIB: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_waits_for_room_says_so_and_is_not_taken_for_dead() -> anyhow::Result<()> {
    let mut turn = start(Plan::default()).await?;
    let cluster = &mut turn.cluster;
    let place = cluster.follower().await?;
    cluster.node_mut(place).stop().await?;
    // More than any disk has.
    cluster
        .node_mut(place)
        .set_environment(&[("POSTRIDER__META__DISK_RESERVE", "4096TiB")]);
    cluster.node_mut(place).spawn()?;
    let node = cluster.node(place);
    let live = until("it answers", SOON, async || {
        Ok(node.http("/healthz/live").await.ok())
    })
    .await?;
    ensure!(live.0 == 200, "{live:?}");
    let (code, ready) = node.http("/healthz/ready").await?;
    ensure!(code == 503 && ready.contains("waits for room"), "{ready}");
    let (code, told) = node.http("/v1/cluster").await?;
    ensure!(code == 503 && told.contains("meta.disk_reserve"), "{told}");
    let free = node.metric("postrider_meta_disk_free_bytes").await?;
    ensure!(free > 0.0, "{free}");

    // Told to stop it ends well, and with room it starts.
    cluster.node_mut(place).stop().await?;
    cluster.node_mut(place).set_environment(&[]);
    cluster.node_mut(place).start_again().await?;
    cluster.until_settled().await?;
    turn.cluster.finish().await
}

/// A small file system in place of a folder; unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    /// Puts one over the metadata of a node that does not run. None: not allowed.
    fn over(folder: &Path) -> anyhow::Result<Option<Self>> {
        let kept = folder.with_extension("kept");
        std::fs::rename(folder, &kept)?;
        std::fs::create_dir(folder)?;
        let size = format!("size={MIB}m,mode=700");
        let mounted = run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs"], folder);
        if !mounted.unwrap_or(false) {
            std::fs::remove_dir(folder)?;
            std::fs::rename(&kept, folder)?;
            return Ok(None);
        }
        let mount = Self(folder.to_owned());
        let from = format!("{}/.", kept.display());
        ensure!(run("cp", &["-a", &from], folder)?, "cannot copy");
        Ok(Some(mount))
    }

    /// Leaves so many MiB free, or not a byte.
    fn fill(&self, left: u64) -> anyhow::Result<()> {
        let mut filler = File::create(self.0.join("filler"))?;
        let piece = [7; 64 << 10];
        while self.free()? > left << 20 {
            match filler.write_all(&piece) {
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                written => written?,
            }
        }
        Ok(())
    }

    /// Bytes that are free.
    fn free(&self) -> anyhow::Result<u64> {
        let stat = rustix::fs::statvfs(&self.0)?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    fn make_room(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.0.join("filler"))?)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: the node may still run.
        let _ = run("umount", &["-l"], &self.0);
    }
}

fn run(program: &str, arguments: &[&str], last: &Path) -> anyhow::Result<bool> {
    let status = Command::new(program).args(arguments).arg(last).status()?;
    Ok(status.success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_makes_a_node_step_back_and_room_brings_it_back() -> anyhow::Result<()> {
    let mut turn = start(Plan {
        settings: "[meta]\nsegment_bytes = \"1MiB\"\ndisk_reserve = \"40MiB\"\n",
        ..Plan::default()
    })
    .await?;
    let cluster = &mut turn.cluster;
    let mut mounts = Vec::new();
    for place in 0..3 {
        cluster.node_mut(place).stop().await?;
        let folder = cluster.node(place).dir().join("data/meta");
        let Some(mount) = Mount::over(&folder)? else {
            println!("skipped: this user may not mount");
            cluster.node_mut(place).start_again().await?;
            return turn.cluster.finish().await;
        };
        mounts.push(mount);
        cluster.node_mut(place).start_again().await?;
        cluster.until_settled().await?;
    }
    let at: Vec<Addresses> = (0..3)
        .map(|place| cluster.node(place).addresses().clone())
        .collect();

    // The leader's disk: another one leads, and nobody notices.
    let first = cluster.leader().await?;
    mounts[first].fill(30)?;
    until("another leads", SOON, async || {
        Ok((cluster.leader().await? != first).then_some(()))
    })
    .await?;
    for at in &at {
        deliver(at, ALICE, &message("one disk is full", "x")).await?;
    }
    let (safe, status) = cluster.status().await?;
    ensure!(!safe, "{status:#}");
    let verdict = status["verdict"].as_str().context("no verdict")?;
    ensure!(verdict.contains("left on its disk"), "{verdict}");
    ensure!(
        cluster
            .node(first)
            .metric("postrider_meta_disk_low")
            .await?
            == 1.0
    );

    // All disks: no new mail, but all can be read and removed.
    for place in (0..3).filter(|place| *place != first) {
        mounts[place].fill(30)?;
    }
    until("new mail is refused", SOON, async || {
        let mut smtp = smtp(at[first].smtp).await?;
        let reply = smtp
            .deliver("s@outside.test", ALICE, &message("no", "x"))
            .await?;
        ensure!([250, 451, 452].contains(&reply.code), "{reply:?}");
        Ok((reply.code == 452 && reply.text.contains("4.3.1")).then_some(()))
    })
    .await?;
    let mut imap = inbox(&at[first], ALICE).await?;
    let refused = imap.append("INBOX", "", &message("no", "x")).await?;
    ensure!(refused.status.contains("NO [UNAVAILABLE]"), "{refused:?}");
    // Reading marks as seen.
    imap.run("FETCH 1 BODY[]").await?.ok()?;
    imap.run("STORE 1 +FLAGS (\\Deleted)").await?.ok()?;
    imap.run("EXPUNGE").await?.ok()?;

    // Room brings all back, without a restart.
    for mount in &mounts {
        mount.make_room()?;
    }
    cluster.until_settled().await?;
    until("new mail is taken", SOON, async || {
        let mut smtp = smtp(at[first].smtp).await?;
        let reply = smtp
            .deliver("s@outside.test", ALICE, &message("yes", "x"))
            .await?;
        Ok((reply.code == 250).then_some(()))
    })
    .await?;
    nothing_left_at_all(cluster, &mounts, &at).await?;
    turn.cluster.finish().await
}

/// A follower's disk without a byte: it ends, waits for room when it is started
/// again, and has everything then.
async fn nothing_left_at_all(
    cluster: &mut Cluster,
    mounts: &[Mount],
    at: &[Addresses],
) -> anyhow::Result<()> {
    let full = cluster.follower().await?;
    let sender = &at[(full + 1) % 3];
    mounts[full].fill(0)?;
    let before = count(sender, ALICE).await?;
    let body = "a line of text\r\n".repeat(3000);
    let mut sent = 0;
    let mut smtp = smtp(sender.smtp).await?;
    // More than what was allocated ahead.
    while cluster.node_mut(full).is_alive()? {
        ensure!(sent < 4000, "the node goes on without a disk");
        let reply = smtp
            .deliver("s@outside.test", ALICE, &message("more", &body))
            .await?;
        ensure!(reply.code == 250, "{reply:?}");
        sent += 1;
    }
    let status = cluster.node_mut(full).ended().await?;
    ensure!(
        !status.success(),
        "a service manager starts it again: {status}"
    );
    cluster.node_mut(full).spawn()?;
    until("it waits for room", SOON, async || {
        let waits = cluster
            .node(full)
            .log()
            .contains("waiting for room on the disk");
        Ok(waits.then_some(()))
    })
    .await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    ensure!(cluster.node_mut(full).is_alive()?, "it ends again");
    mounts[full].make_room()?;
    cluster.node_mut(full).await_ready().await?;
    cluster.until_settled().await?;
    ensure!(
        count(&at[full], ALICE).await? == before + sent,
        "mail is lost"
    );
    println!("a full disk: the node ended after {sent} messages");
    Ok(())
}
