//! SIGKILL at random moments under load: what was acknowledged is there, once.
//!
//! Each client works on a mailbox of its own until its connection breaks and
//! notes what it was told. After each kill the node starts again on the same
//! folder; at the end the mailboxes are compared with the notes. Log segments and
//! snapshots are small, so that kills also hit the writing of snapshots and the
//! purging of the log.

#![allow(
    clippy::print_stdout,
    reason = "a test tells what it did, and one that cannot go on shall panic"
)]

use std::sync::Arc;
use std::time::Duration;

use postrider_tests::Node;
use postrider_tests::load::{Carry, Deliver, Drain, Pace, compare_quota};
use rand::Rng as _;
use tokio::task::JoinSet;

const KILLS: usize = 40;
const SENDERS: usize = 6;
const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";
const CAROL: &str = "carol@example.test";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_over_forty_kills() -> anyhow::Result<()> {
    let mut node = Node::start_with(
        env!("CARGO_BIN_EXE_postrider-under-test"),
        &[
            ("POSTRIDER__META__SEGMENT_BYTES", "1MiB"),
            ("POSTRIDER__META__SNAPSHOT_BYTES", "2MiB"),
        ],
    )
    .await?;
    node.account(CAROL).await?;
    for user in [ALICE, BOB, CAROL] {
        let limits = ["--quota", "100GiB", "--quota-messages", "1000000"];
        node.cli(&[&["account", "set", user], &limits[..]].concat())
            .await?;
    }
    let pace = Arc::new(Pace::default());
    let delivered = Arc::new(Deliver::new(ALICE, pace.clone()));
    let carried = Arc::new(Carry::new(BOB, pace.clone()));
    let drained = Arc::new(Drain::new(CAROL, pace));
    for round in 0..KILLS {
        let mut clients = JoinSet::new();
        for _ in 0..SENDERS {
            let (told, at) = (delivered.clone(), node.addresses().clone());
            clients.spawn(async move { told.send(&at, usize::MAX).await });
        }
        let (told, at) = (delivered.clone(), node.addresses().clone());
        clients.spawn(async move { told.flag(&at, usize::MAX, (0, 1)).await });
        let (told, at) = (carried.clone(), node.addresses().clone());
        clients.spawn(async move { told.work(&at, usize::MAX).await });
        let (told, at) = (drained.clone(), node.addresses().clone());
        clients.spawn(async move { told.fill(&at, usize::MAX).await });
        let (told, at) = (drained.clone(), node.addresses().clone());
        clients.spawn(async move { told.empty(&at, usize::MAX).await });
        let moment = rand::rng().random_range(20..600);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        // However slow the machine is: as much of each kind as there are kills.
        let done = || {
            [
                delivered.acknowledged(),
                carried.acknowledged(),
                drained.acknowledged(),
            ]
        };
        while done().iter().any(|count| *count <= round) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        node.kill().await?;
        // Each client ends with its connection.
        while clients.join_next().await.is_some() {}
        node.start_again().await?;
    }
    delivered.compare(node.addresses()).await?;
    carried.compare(node.addresses()).await?;
    drained.compare(node.addresses()).await?;
    for user in [ALICE, BOB, CAROL] {
        compare_quota(node.addresses(), user).await?;
    }
    println!("{KILLS} kills: {delivered}; {carried}; {drained}");
    node.finish().await
}
