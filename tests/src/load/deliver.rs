//! SMTP senders, and IMAP clients that change the flags of what arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use anyhow::ensure;
use parking_lot::Mutex;

use super::journal::{Kind, Outcome, told_by_imap};
use super::ledger::Ledger;
use super::{PASSWORD, Pace, messages, number, number_after};
use crate::{Addresses, Imap, Smtp};

/// What the clients were told.
pub struct Deliver {
    user: String,
    pace: Arc<Pace>,
    sent: Ledger,
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
    /// Set again after the answer to the first time never came: that one may be
    /// carried out late.
    Doubtful,
}

impl Deliver {
    /// For an account that nobody else writes to.
    pub fn new(user: &str, pace: Arc<Pace>) -> Self {
        Self {
            user: user.to_owned(),
            pace,
            sent: Ledger::default(),
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
            let journal = (self.pace.journal(), Kind::Message);
            self.sent
                .send(&mut smtp, journal, &self.user, lines)
                .await?;
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
        let mut imap = at.imap_login(&self.user, PASSWORD).await?;
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
        let before = self.flags.lock().insert(uid, Flags::PerhapsSet);
        if before.is_some_and(|flags| flags != Flags::PerhapsSet) {
            let wrong = format!("UID {uid} was told as {before:?}, but is found without it");
            self.pace.journal().wrong(&wrong);
        }
        self.store(imap, &format!("{uid} +FLAGS.SILENT (kept fresh)"))
            .await?;
        if before.is_some() {
            self.flags.lock().insert(uid, Flags::Doubtful);
            return Ok(());
        }
        self.flags.lock().insert(uid, Flags::Set);
        if uid.is_multiple_of(3) {
            self.flags.lock().insert(uid, Flags::PerhapsTaken);
            self.store(imap, &format!("{uid} -FLAGS.SILENT (fresh)"))
                .await?;
            self.flags.lock().insert(uid, Flags::Taken);
        }
        Ok(())
    }

    async fn store(&self, imap: &mut Imap, change: &str) -> anyhow::Result<()> {
        let op = self.pace.journal().begin(Kind::Flags);
        let answer = imap.run(&format!("UID STORE {change}")).await?;
        match told_by_imap(&answer.status) {
            Outcome::Acknowledged => op.acknowledged(),
            Outcome::Refused => op.refused(),
            Outcome::Unknown => {}
        }
        answer.ok()?;
        Ok(())
    }

    /// How many messages and changes of flags were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.sent.counts().0 + self.flags.lock().len()
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
                Some(Flags::PerhapsTaken | Flags::Doubtful) => kept,
                Some(Flags::Taken) => kept && !fresh,
            };
            ensure!(right, "UID {uid} was told as {flags:?}: {line:.200}");
        }
        self.sent.compare(&found, |_| false)
    }
}

/// How long a message is. Every twentieth is too large to travel inline and goes
/// to an object of its own.
fn lines(number: u64) -> usize {
    if number.is_multiple_of(20) { 8_000 } else { 50 }
}

impl fmt::Display for Deliver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accepted, unknown) = self.sent.counts();
        let flags = self.flags.lock().len();
        write!(
            f,
            "SMTP {accepted} acknowledged, {unknown} unknown, {flags} flagged"
        )
    }
}
