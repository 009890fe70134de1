//! An LMTP sender that fills a maildrop, and a POP3 client that empties it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{bail, ensure};
use parking_lot::Mutex;

use super::journal::Kind;
use super::ledger::Ledger;
use super::{PASSWORD, Pace, messages, number};
use crate::{Addresses, Smtp};

/// What the clients were told.
pub struct Drain {
    user: String,
    pace: Arc<Pace>,
    sent: Ledger,
    sessions: AtomicU64,
    /// Deleted by a QUIT that was answered.
    gone: Mutex<BTreeSet<u64>>,
    /// Deleted by a QUIT whose answer never came, by session: all or none.
    perhaps: Mutex<BTreeMap<u64, BTreeSet<u64>>>,
}

impl Drain {
    /// For an account that nobody else uses.
    pub fn new(user: &str, pace: Arc<Pace>) -> Self {
        Self {
            user: user.to_owned(),
            pace,
            sent: Ledger::default(),
            sessions: AtomicU64::new(0),
            gone: Mutex::default(),
            perhaps: Mutex::default(),
        }
    }

    /// Delivers up to `count` numbered messages.
    pub async fn fill(&self, at: &Addresses, count: usize) -> anyhow::Result<()> {
        let mut lmtp = Smtp::connect(at.lmtp).await?;
        lmtp.expect(250, "LHLO client.test").await?;
        for _ in 0..count {
            if !self.pace.next().await {
                break;
            }
            let journal = (self.pace.journal(), Kind::Maildrop);
            self.sent
                .send(&mut lmtp, journal, &self.user, |_| 20)
                .await?;
        }
        Ok(())
    }

    /// Retrieves and deletes whatever is there, up to `count` times. One such
    /// client at a time.
    pub async fn empty(&self, at: &Addresses, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            if !self.pace.next().await {
                break;
            }
            let mut pop3 = at.pop3_login(&self.user, PASSWORD).await?;
            let mut numbers = BTreeSet::new();
            for place in 1..=pop3.lines("UIDL").await?.len() {
                let text = pop3.lines(&format!("RETR {place}")).await?.join("\n");
                let number = number(&text)?;
                let gone = self.gone.lock().contains(&number);
                if gone || !numbers.insert(number) {
                    let wrong = format!("message {number} came back or is there twice");
                    self.pace.journal().wrong(&wrong);
                    bail!(wrong);
                }
                pop3.ok(&format!("DELE {place}")).await?;
            }
            let session = self.sessions.fetch_add(1, Ordering::Relaxed);
            self.perhaps.lock().insert(session, numbers.clone());
            let deletes = !numbers.is_empty();
            let op = deletes.then(|| self.pace.journal().begin(Kind::Delete));
            pop3.ok("QUIT").await?;
            if let Some(op) = op {
                op.acknowledged();
            }
            self.perhaps.lock().remove(&session);
            self.gone.lock().extend(numbers);
        }
        Ok(())
    }

    /// How many messages were deleted.
    pub fn acknowledged(&self) -> usize {
        self.gone.lock().len()
    }

    /// Compares the maildrop with what was told.
    pub async fn compare(&self, at: &Addresses) -> anyhow::Result<()> {
        let mut found = BTreeSet::new();
        for line in messages(at, &self.user, "INBOX").await? {
            ensure!(found.insert(number(&line)?), "twice: {line:.200}");
        }
        let (gone, perhaps) = (self.gone.lock(), self.perhaps.lock());
        for number in gone.iter() {
            ensure!(!found.contains(number), "message {number} came back");
        }
        for numbers in perhaps.values() {
            // What a broken session meant to delete, a later one may have deleted.
            let left = numbers.iter().filter(|n| !gone.contains(n));
            let (kept, lost): (Vec<u64>, Vec<u64>) = left.partition(|n| found.contains(n));
            ensure!(
                kept.is_empty() || lost.is_empty(),
                "QUIT deleted {lost:?}, not {kept:?}"
            );
        }
        self.sent.compare(&found, |number| {
            gone.contains(&number) || perhaps.values().any(|n| n.contains(&number))
        })
    }
}

impl fmt::Display for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accepted, gone) = (self.sent.counts().0, self.gone.lock().len());
        write!(f, "POP3 {accepted} delivered, {gone} deleted")
    }
}
