//! SMTP senders, and IMAP clients that change the flags of what arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{bail, ensure};
use parking_lot::Mutex;

use super::{PASSWORD, Pace, message, messages, number, number_after};
use crate::{Addresses, Imap, Smtp};

/// What the clients were told.
pub struct Deliver {
    user: String,
    pace: Arc<Pace>,
    next: AtomicU64,
    /// Answered 250.
    accepted: Mutex<BTreeSet<u64>>,
    /// The answer never came: there once or not at all.
    unknown: Mutex<BTreeSet<u64>>,
    /// The last acknowledged flags of each UID.
    flags: Mutex<BTreeMap<u64, Flags>>,
}

/// How far the flags of a message have come: first `kept` and `fresh` are set,
/// then `fresh` is taken away. `Perhaps`: the answer never came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flags {
    PerhapsSet,
    Set,
    PerhapsTaken,
    Taken,
}

impl Deliver {
    /// For an account that nobody else writes to.
    pub fn new(user: &str, pace: Arc<Pace>) -> Self {
        Self {
            user: user.to_owned(),
            pace,
            next: AtomicU64::new(0),
            accepted: Mutex::default(),
            unknown: Mutex::default(),
            flags: Mutex::default(),
        }
    }

    /// Delivers up to `count` numbered messages.
    pub async fn send(&self, at: &Addresses, count: usize) -> anyhow::Result<()> {
        let mut smtp = Smtp::connect(at.smtp).await?;
        smtp.expect(250, "EHLO client.test").await?;
        for _ in 0..count {
            if !self.pace.next().await {
                break;
            }
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.unknown.lock().insert(number);
            let text = message(number, lines(number));
            let reply = smtp.deliver("s@outside.test", &self.user, &text).await?;
            self.unknown.lock().remove(&number);
            if reply.code != 250 {
                bail!("message {number}: {reply:?}");
            }
            self.accepted.lock().insert(number);
        }
        Ok(())
    }

    /// Changes the flags of messages as they appear, `rounds` times all new ones;
    /// of several such clients the one with the number `own` of `all`.
    pub async fn flag(
        &self,
        at: &Addresses,
        rounds: usize,
        (own, all): (u64, u64),
    ) -> anyhow::Result<()> {
        let mut imap = Imap::login(at.imap, &self.user, PASSWORD).await?;
        imap.run("SELECT INBOX").await?.ok()?;
        for _ in 0..rounds {
            imap.run("NOOP").await?.ok()?;
            let found = imap.run("UID SEARCH UNKEYWORD kept").await?.ok()?;
            for uid in found.search()?.into_iter().map(u64::from) {
                if uid % all != own {
                    continue;
                }
                if !self.pace.next().await {
                    return Ok(());
                }
                self.change(&mut imap, uid).await?;
            }
            if !self.pace.next().await {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn change(&self, imap: &mut Imap, uid: u64) -> anyhow::Result<()> {
        self.flags.lock().insert(uid, Flags::PerhapsSet);
        imap.run(&format!("UID STORE {uid} +FLAGS.SILENT (kept fresh)"))
            .await?
            .ok()?;
        self.flags.lock().insert(uid, Flags::Set);
        if uid.is_multiple_of(3) {
            self.flags.lock().insert(uid, Flags::PerhapsTaken);
            imap.run(&format!("UID STORE {uid} -FLAGS.SILENT (fresh)"))
                .await?
                .ok()?;
            self.flags.lock().insert(uid, Flags::Taken);
        }
        Ok(())
    }

    /// How many messages and changes of flags were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.accepted.lock().len() + self.flags.lock().len()
    }

    /// Compares the mailbox with what was told.
    pub async fn compare(&self, at: &Addresses) -> anyhow::Result<()> {
        let mut found = BTreeSet::new();
        let mut last_uid = 0;
        for line in messages(at, &self.user, "INBOX").await? {
            let (uid, number) = (number_after(&line, "UID ")?, number(&line)?);
            ensure!(uid > last_uid, "UID {uid} after {last_uid}");
            last_uid = uid;
            ensure!(found.insert(number), "message {number} twice");
            let whole = line.matches(&format!("line of {number}\r\n")).count();
            ensure!(whole == lines(number), "message {number} is not whole");
            let flags = self.flags.lock().get(&uid).copied();
            let (kept, fresh) = (line.contains("kept"), line.contains("fresh"));
            let right = match flags {
                None => !kept && !fresh,
                Some(Flags::PerhapsSet) => kept == fresh,
                Some(Flags::Set) => kept && fresh,
                Some(Flags::PerhapsTaken) => kept,
                Some(Flags::Taken) => kept && !fresh,
            };
            ensure!(right, "UID {uid} was told as {flags:?}: {line:.200}");
        }
        let (accepted, unknown) = (self.accepted.lock(), self.unknown.lock());
        for number in accepted.iter() {
            ensure!(
                found.contains(number),
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

/// How long a message is. Every twentieth is too large to travel inline and goes
/// to an object of its own.
fn lines(number: u64) -> usize {
    if number.is_multiple_of(20) { 8_000 } else { 50 }
}

impl fmt::Display for Deliver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accepted, unknown) = (self.accepted.lock().len(), self.unknown.lock().len());
        let flags = self.flags.lock().len();
        write!(
            f,
            "SMTP {accepted} acknowledged, {unknown} unknown, {flags} flagged"
        )
    }
}
