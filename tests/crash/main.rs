//! SIGKILL at random moments under load: what was acknowledged is there, once.
//!
//! Senders deliver numbered messages over SMTP while a reader sets a keyword on
//! each message that it sees. After each kill the node starts again on the same
//! folder; at the end the mailbox is compared with what was acknowledged.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test tells what it did, and one that cannot go on shall panic"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use postrider_tests::{Addresses, Imap, Node, Smtp};
use rand::Rng as _;
use tokio::task::JoinSet;

const ALICE: &str = "alice@example.test";
const PASSWORD: &str = "postrider";
const KILLS: usize = 40;
const SENDERS: usize = 8;

/// What the clients were told.
#[derive(Default)]
struct Told {
    /// The next message's number.
    next: AtomicU64,
    /// Messages answered 250.
    accepted: Mutex<BTreeSet<u64>>,
    /// Messages whose answer never came: there once or not at all.
    unknown: Mutex<BTreeSet<u64>>,
    /// UIDs whose STORE was answered OK.
    flagged: Mutex<BTreeSet<u32>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_over_forty_kills() -> anyhow::Result<()> {
    let mut node = Node::start(env!("CARGO_BIN_EXE_postrider-under-test")).await?;
    let told = Arc::new(Told::default());
    for _ in 0..KILLS {
        let mut clients = JoinSet::new();
        for _ in 0..SENDERS {
            clients.spawn(send(node.addresses().clone(), told.clone()));
        }
        clients.spawn(flag(node.addresses().clone(), told.clone()));
        let moment = rand::rng().random_range(20..600);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        node.kill().await?;
        // Each client ends with its connection.
        while clients.join_next().await.is_some() {}
        node.start_again().await?;
    }
    compare(&node, &told).await?;
    node.finish().await
}

/// Delivers numbered messages until the connection breaks.
async fn send(addresses: Addresses, told: Arc<Told>) -> anyhow::Result<()> {
    let mut smtp = Smtp::connect(addresses.smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    loop {
        let number = told.next.fetch_add(1, Ordering::Relaxed);
        let lines = lines(number);
        let text = format!(
            "From: s@outside.test\r\nSubject: number {number}\r\n\r\n{}",
            format!("line of {number}\r\n").repeat(lines)
        );
        told.unknown.lock().insert(number);
        let reply = smtp.deliver("s@outside.test", ALICE, &text).await?;
        if reply.code == 250 {
            told.accepted.lock().insert(number);
        }
        told.unknown.lock().remove(&number);
    }
}

/// How long a message is. Every twentieth is too large to travel inline and goes
/// to an object of its own.
fn lines(number: u64) -> usize {
    if number.is_multiple_of(20) { 8_000 } else { 50 }
}

/// Sets a keyword on each message as it appears, until the connection breaks.
async fn flag(addresses: Addresses, told: Arc<Told>) -> anyhow::Result<()> {
    let mut imap = Imap::login(addresses.imap, ALICE, PASSWORD).await?;
    imap.run("SELECT INBOX").await?.ok()?;
    loop {
        imap.run("NOOP").await?.ok()?;
        for uid in imap
            .run("UID SEARCH UNKEYWORD kept")
            .await?
            .ok()?
            .search()?
        {
            imap.run(&format!("UID STORE {uid} +FLAGS.SILENT (kept)"))
                .await?
                .ok()?;
            told.flagged.lock().insert(uid);
        }
    }
}

/// Compares the mailbox with what was told.
async fn compare(node: &Node, told: &Told) -> anyhow::Result<()> {
    let mut imap = Imap::login(node.addresses().imap, ALICE, PASSWORD).await?;
    imap.run("SELECT INBOX").await?.ok()?;
    let listed = imap
        .run("UID FETCH 1:* (UID FLAGS BODY.PEEK[])")
        .await?
        .ok()?;
    let mut found = BTreeMap::<u64, u32>::new();
    let mut last_uid = 0;
    for line in &listed.untagged {
        let uid = number_after(line, "UID ");
        let number = number_after(line, "Subject: number ");
        assert!(uid > last_uid, "UID {uid} after {last_uid}");
        last_uid = uid;
        assert!(
            found.insert(u64::from(number), uid).is_none(),
            "message {number} twice"
        );
        let lines = lines(u64::from(number));
        assert_eq!(
            line.matches(&format!("line of {number}\r\n")).count(),
            lines,
            "{number}"
        );
        if told.flagged.lock().contains(&uid) {
            assert!(
                line.contains("kept"),
                "UID {uid} lost its keyword: {}",
                &line[..200]
            );
        }
    }
    let accepted = told.accepted.lock();
    let unknown = told.unknown.lock();
    for number in accepted.iter() {
        assert!(
            found.contains_key(number),
            "acknowledged message {number} is lost"
        );
    }
    for number in found.keys() {
        assert!(
            accepted.contains(number) || unknown.contains(number),
            "{number} was refused"
        );
    }
    assert!(
        accepted.len() > KILLS,
        "the load was too small: {}",
        accepted.len()
    );
    println!(
        "{KILLS} kills: {} acknowledged, {} unknown, {} flags",
        accepted.len(),
        unknown.len(),
        told.flagged.lock().len()
    );
    Ok(())
}

/// The number behind the first `label`.
fn number_after(text: &str, label: &str) -> u32 {
    let rest = text
        .split_once(label)
        .unwrap_or_else(|| panic!("no {label:?} in {text:.300}"))
        .1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}
