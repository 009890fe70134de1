//! An LMTP sender that fills a maildrop, and a POP3 client that empties it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use postrider_tests::{Addresses, Node, Pop3, Smtp};

use crate::{PASSWORD, message, messages, number};

/// The maildrop's owner.
pub(crate) const USER: &str = "carol@example.test";

/// What the clients were told.
#[derive(Default)]
pub(crate) struct Told {
    next: AtomicU64,
    /// Answered 250.
    accepted: Mutex<BTreeSet<u64>>,
    /// Deleted by a QUIT that was answered.
    gone: Mutex<BTreeSet<u64>>,
    /// Deleted by a QUIT whose answer never came, by session: all or none.
    perhaps: Mutex<BTreeMap<u64, BTreeSet<u64>>>,
}

/// Delivers numbered messages until the connection breaks.
pub(crate) async fn fill(addresses: Addresses, told: Arc<Told>) -> anyhow::Result<()> {
    let mut lmtp = Smtp::connect(addresses.lmtp).await?;
    lmtp.expect(250, "LHLO client.test").await?;
    loop {
        let number = told.next.fetch_add(1, Ordering::Relaxed);
        let reply = lmtp
            .deliver("s@outside.test", USER, &message(number, 20))
            .await?;
        if reply.code == 250 {
            told.accepted.lock().insert(number);
        }
    }
}

/// Retrieves and deletes whatever is there, again and again, until a connection
/// breaks.
pub(crate) async fn empty(addresses: Addresses, told: Arc<Told>) -> anyhow::Result<()> {
    loop {
        let mut pop3 = Pop3::login(addresses.pop3, USER, PASSWORD).await?;
        let mut numbers = BTreeSet::new();
        for place in 1..=pop3.lines("UIDL").await?.len() {
            let text = pop3.lines(&format!("RETR {place}")).await?.join("\n");
            numbers.insert(number(&text));
            pop3.ok(&format!("DELE {place}")).await?;
        }
        let session = told.next.fetch_add(1, Ordering::Relaxed);
        told.perhaps.lock().insert(session, numbers.clone());
        pop3.ok("QUIT").await?;
        told.perhaps.lock().remove(&session);
        told.gone.lock().extend(numbers);
    }
}

impl Told {
    /// Compares the maildrop with what was told.
    pub(crate) async fn compare(&self, node: &Node) -> anyhow::Result<()> {
        let mut found = BTreeSet::new();
        for line in messages(node, USER, "INBOX").await? {
            assert!(found.insert(number(&line)), "twice: {line:.200}");
        }
        let (gone, perhaps) = (self.gone.lock(), self.perhaps.lock());
        for number in gone.iter() {
            assert!(!found.contains(number), "message {number} came back");
        }
        for numbers in perhaps.values() {
            // What a broken session meant to delete, a later one may have deleted.
            let left = numbers.iter().filter(|n| !gone.contains(n));
            let (kept, lost): (Vec<u64>, Vec<u64>) = left.partition(|n| found.contains(n));
            assert!(
                kept.is_empty() || lost.is_empty(),
                "QUIT deleted {lost:?}, not {kept:?}"
            );
        }
        for number in self.accepted.lock().iter() {
            let deleted = gone.contains(number) || perhaps.values().any(|n| n.contains(number));
            assert!(
                deleted || found.contains(number),
                "acknowledged message {number} is lost"
            );
        }
        assert!(gone.len() > crate::KILLS, "the load was too small");
        Ok(())
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accepted, gone) = (self.accepted.lock().len(), self.gone.lock().len());
        write!(f, "POP3 {accepted} delivered, {gone} deleted")
    }
}
