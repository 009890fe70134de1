//! How long writers wait when the leader of a cluster dies.
//!
//! Starts three nodes, each with metadata and mail, kills the leader again and
//! again with SIGKILL, and measures from each kill to the next `250` to a message
//! and to the next `OK` to a STORE on nodes that live on. Prints the figures.
//!
//! The program is also the node that it measures: started with any argument but
//! its own it is `postrider`.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use postrider_tests::{Addresses, Cluster, Figures, Imap, Plan, Smtp};

const ALICE: &str = "alice@example.test";
const PASSWORD: &str = "postrider";
/// Kills where none are asked for.
const KILLS: usize = 50;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let kills = match arguments[..] {
        [] => KILLS,
        ["--kills", count] => count.parse().context("--kills takes a number")?,
        _ => return Ok(postrider_node::cli::main()),
    };
    ensure!(kills > 0, "--kills takes at least 1");
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure(kills))?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(kills: usize) -> anyhow::Result<()> {
    let binary = std::env::current_exe()?;
    let mut cluster = Cluster::start(&binary.to_string_lossy(), Plan::default()).await?;
    let (mut accepted, mut stored) = (Vec::new(), Vec::new());
    for kill in 1..=kills {
        let (accept, store) = fail_over(&mut cluster).await?;
        let [a, s] = [accept, store].map(|time| time.as_millis());
        println!("{kill:3}: 250 after {a} ms, OK after {s} ms");
        accepted.push(accept);
        stored.push(store);
    }
    println!("\n{kills} kills of the leader: time to the next answer on another node");
    for (what, times) in [("SMTP 250", accepted), ("STORE OK", stored)] {
        println!("{what}: {}", Figures::of(times).context("no kills")?);
    }
    cluster.finish().await
}

/// Kills the leader; until the next `250` and the next `OK`, each on one of the
/// other nodes, over connections that are there already. Starts it again.
async fn fail_over(cluster: &mut Cluster) -> anyhow::Result<(Duration, Duration)> {
    let leader = cluster.leader().await?;
    let [mail, store] = [1, 2].map(|n| cluster.node((leader + n) % 3).addresses().clone());
    let mut smtp = ready_to_send(&mail).await?;
    let mut imap = ready_to_store(&store).await?;
    cluster.node_mut(leader).kill().await?;
    let killed = Instant::now();
    let accept = async {
        let text = "From: s@outside.test\r\nSubject: after the kill\r\n\r\nx\r\n";
        let reply = smtp.deliver("s@outside.test", ALICE, text).await?;
        ensure!(reply.code == 250, "{reply:?}");
        Ok(killed.elapsed())
    };
    let stored = async {
        imap.run("STORE 1 +FLAGS.SILENT (\\Flagged)").await?.ok()?;
        Ok(killed.elapsed())
    };
    let times = tokio::try_join!(accept, stored)?;
    cluster.node_mut(leader).start_again().await?;
    cluster.until_settled().await?;
    Ok(times)
}

/// A session with one message behind it.
async fn ready_to_send(at: &Addresses) -> anyhow::Result<Smtp> {
    let mut smtp = Smtp::connect(at.smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    let text = "From: s@outside.test\r\nSubject: before the kill\r\n\r\nx\r\n";
    let reply = smtp.deliver("s@outside.test", ALICE, text).await?;
    ensure!(reply.code == 250, "{reply:?}");
    Ok(smtp)
}

/// A session with INBOX selected, whose first message has no flag.
async fn ready_to_store(at: &Addresses) -> anyhow::Result<Imap> {
    let mut imap = Imap::login(at.imap, ALICE, PASSWORD).await?;
    imap.run("SELECT INBOX").await?.ok()?;
    imap.run("STORE 1 -FLAGS.SILENT (\\Flagged)").await?.ok()?;
    Ok(imap)
}
