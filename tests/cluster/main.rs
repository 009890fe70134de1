//! Clusters of real processes: what clients see while nodes die, hang, leave and
//! join.
//!
//! Every test starts its own cluster on free ports and ends with
//! [`Cluster::finish`], which compares the copies of the metadata and checks their
//! consistency. Two clusters run at a time, and one alone where a test measures. With
//! `POSTRIDER_TEST_S3` set to the URL of a bucket bodies and snapshots lie there.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test tells what it measured, and one that cannot go on shall panic"
)]

mod background;
mod certificates;
mod damage;
mod departure;
mod disk;
mod entering;
mod faults;
mod fleet;
mod growth;
mod handover;
mod idle;
mod limits;
mod linear;
mod maildrop;
mod majority;
mod pair;
mod policies;
mod queue;
mod recovery;
mod roles;
mod snapshots;
mod upgrade;
mod versions;
mod witness;

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use postrider_tests::{Addresses, Cluster, Imap, Plan, Pop3, Smtp};

/// This package's copy of the product.
const BINARY: &str = env!("CARGO_BIN_EXE_postrider-under-test");
/// The two accounts of each cluster, and their password.
const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";
const PASSWORD: &str = "postrider";
/// So many clusters run at once.
const TOGETHER: u32 = 2;
/// How long something may take that comes by itself, unless a test says less.
const SOON: Duration = Duration::from_secs(30);

/// A cluster, and the right to run one.
struct Turn {
    cluster: Cluster,
    _turn: Vec<File>,
}

/// Waits for this test's turn, over all processes that run tests, and starts its
/// cluster.
async fn start(plan: Plan<'_>) -> anyhow::Result<Turn> {
    start_with(BINARY, plan).await
}

/// The same with another build of the program.
async fn start_with(binary: &str, plan: Plan<'_>) -> anyhow::Result<Turn> {
    let turn = turn().await?;
    Ok(Turn {
        cluster: Cluster::start(binary, plan).await?,
        _turn: turn,
    })
}

/// The same for a test that measures: no other cluster runs meanwhile.
async fn start_alone(plan: Plan<'_>) -> anyhow::Result<Turn> {
    let alone = locks("cluster.alone")?;
    alone.lock()?;
    Ok(Turn {
        cluster: Cluster::start(BINARY, plan).await?,
        _turn: vec![alone],
    })
}

/// Waits until fewer than [`TOGETHER`] other tests run a cluster, and none alone.
async fn turn() -> anyhow::Result<Vec<File>> {
    let alone = locks("cluster.alone")?;
    alone.lock_shared()?;
    loop {
        for place in 0..TOGETHER {
            let place = locks(&format!("cluster.{place}"))?;
            if place.try_lock().is_ok() {
                return Ok(vec![alone, place]);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A file for locks that end with whoever holds them.
fn locks(name: &str) -> std::io::Result<File> {
    File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
}

/// A message with this subject and body.
fn message(subject: &str, body: &str) -> String {
    format!("From: Stranger <s@outside.test>\r\nSubject: {subject}\r\n\r\n{body}\r\n")
}

/// Delivers one message to `to` and expects 250.
async fn deliver(at: &Addresses, to: &str, message: &str) -> anyhow::Result<()> {
    let mut smtp = smtp(at.smtp).await?;
    let reply = smtp.deliver("s@outside.test", to, message).await?;
    ensure!(reply.code == 250, "{reply:?}");
    Ok(())
}

/// An SMTP session after EHLO.
async fn smtp(address: SocketAddr) -> anyhow::Result<Smtp> {
    let mut smtp = Smtp::connect(address).await?;
    smtp.expect(250, "EHLO client.test").await?;
    Ok(smtp)
}

/// An IMAP session of `user` with INBOX selected.
async fn inbox(at: &Addresses, user: &str) -> anyhow::Result<Imap> {
    let mut imap = Imap::login(at.imap, user, PASSWORD).await?;
    imap.run("SELECT INBOX").await?.ok()?;
    Ok(imap)
}

/// A POP3 session of `user`.
async fn pop3(at: &Addresses, user: &str) -> anyhow::Result<Pop3> {
    Pop3::login(at.pop3, user, PASSWORD).await
}

/// How many messages are in `user`'s INBOX, as a fresh look tells.
async fn count(at: &Addresses, user: &str) -> anyhow::Result<usize> {
    Ok(inbox(at, user)
        .await?
        .run("SEARCH ALL")
        .await?
        .ok()?
        .search()?
        .len())
}

/// Looks until `look` finds something; fails after `within`.
async fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
