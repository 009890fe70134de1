//! An LMTP sender that fills a maildrop, and a POP3 client that empties it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{bail, ensure};
use parking_lot::Mutex;

use super::{PASSWORD, Pace, message, messages, number};
use crate::{Addresses, Pop3, Smtp};

/// What the clients were told.
pub struct Drain {
    user: String,
    pace: Arc<Pace>,
    next: AtomicU64,
    /// Answered 250.
    accepted: Mutex<BTreeSet<u64>>,
    /// The answer never came: there once or not at all.
    unknown: Mutex<BTreeSet<u64>>,
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
            next: AtomicU64::new(0),
            accepted: Mutex::default(),
            unknown: Mutex::default(),
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
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.unknown.lock().insert(number);
            let reply = lmtp
                .deliver("s@outside.test", &self.user, &message(number, 20))
                .await?;
            self.unknown.lock().remove(&number);
            if reply.code != 250 {
                bail!("message {number}: {reply:?}");
            }
            self.accepted.lock().insert(number);
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
            let mut pop3 = Pop3::login(at.pop3, &self.user, PASSWORD).await?;
            let mut numbers = BTreeSet::new();
            for place in 1..=pop3.lines("UIDL").await?.len() {
                let text = pop3.lines(&format!("RETR {place}")).await?.join("\n");
                let number = number(&text)?;
                ensure!(
                    !self.gone.lock().contains(&number),
                    "message {number} came back"
                );
                ensure!(numbers.insert(number), "message {number} twice");
                pop3.ok(&format!("DELE {place}")).await?;
            }
            let session = self.next.fetch_add(1, Ordering::Relaxed);
            self.perhaps.lock().insert(session, numbers.clone());
            pop3.ok("QUIT").await?;
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
        let (accepted, unknown) = (self.accepted.lock(), self.unknown.lock());
        for number in accepted.iter() {
            let deleted = gone.contains(number) || perhaps.values().any(|n| n.contains(number));
            ensure!(
                deleted || found.contains(number),
                "acknowledged message {number} is lost"
            );
        }
        for number in &found {
            ensure!(
                accepted.contains(number) || unknown.contains(number),
                "message {number} was refused, and is there"
            );
        }
        Ok(())
    }
}

impl fmt::Display for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accepted, gone) = (self.accepted.lock().len(), self.gone.lock().len());
        write!(f, "POP3 {accepted} delivered, {gone} deleted")
    }
}
