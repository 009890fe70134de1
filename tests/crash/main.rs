//! SIGKILL at random moments under load: what was acknowledged is there, once.
//!
//! Each client works on a mailbox of its own until its connection breaks and
//! notes what it was told: `deliver` sends by SMTP and sets keywords, `carry`
//! appends, moves and expunges by IMAP, `drain` empties a maildrop by POP3. After
//! each kill the node starts again on the same folder; at the end each client
//! compares its mailbox with its notes. Log segments and snapshots are small, so
//! that kills also hit the writing of snapshots and the purging of the log.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test tells what it did, and one that cannot go on shall panic"
)]

mod carry;
mod deliver;
mod drain;

use std::sync::Arc;
use std::time::Duration;

use postrider_tests::{Imap, Node};
use rand::Rng as _;
use tokio::task::JoinSet;

const PASSWORD: &str = "postrider";
const KILLS: usize = 40;
const SENDERS: usize = 6;

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
    node.account(drain::USER).await?;
    let delivered = Arc::new(deliver::Told::default());
    let carried = Arc::new(carry::Told::default());
    let drained = Arc::new(drain::Told::default());
    for _ in 0..KILLS {
        let mut clients = JoinSet::new();
        for _ in 0..SENDERS {
            clients.spawn(deliver::send(node.addresses().clone(), delivered.clone()));
        }
        clients.spawn(deliver::flag(node.addresses().clone(), delivered.clone()));
        clients.spawn(carry::work(node.addresses().clone(), carried.clone()));
        clients.spawn(drain::fill(node.addresses().clone(), drained.clone()));
        clients.spawn(drain::empty(node.addresses().clone(), drained.clone()));
        let moment = rand::rng().random_range(20..600);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        node.kill().await?;
        // Each client ends with its connection.
        while clients.join_next().await.is_some() {}
        node.start_again().await?;
    }
    delivered.compare(&node).await?;
    carried.compare(&node).await?;
    drained.compare(&node).await?;
    println!("{KILLS} kills: {delivered}; {carried}; {drained}");
    node.finish().await
}

/// Every message of a mailbox as the untagged FETCH lines tell it.
async fn messages(node: &Node, user: &str, mailbox: &str) -> anyhow::Result<Vec<String>> {
    let mut imap = Imap::login(node.addresses().imap, user, PASSWORD).await?;
    imap.run(&format!("SELECT {mailbox}")).await?.ok()?;
    let all = imap
        .run("UID FETCH 1:* (UID FLAGS BODY.PEEK[])")
        .await?
        .ok()?;
    Ok(all.untagged)
}

/// A numbered message with `lines` lines that name it.
fn message(number: u64, lines: usize) -> String {
    let body = format!("line of {number}\r\n").repeat(lines);
    format!("From: s@outside.test\r\nSubject: number {number}\r\n\r\n{body}")
}

/// The number of the message in a FETCH line.
fn number(line: &str) -> u64 {
    number_after(line, "Subject: number ")
}

/// The number behind the first `label`.
fn number_after(text: &str, label: &str) -> u64 {
    let rest = text
        .split_once(label)
        .unwrap_or_else(|| panic!("no {label:?} in {text:.300}"))
        .1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}
