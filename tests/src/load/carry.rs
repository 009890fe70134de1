//! IMAP clients that append messages and then move or expunge each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};
use parking_lot::Mutex;

use super::journal::{Kind, Outcome, told_by_imap};
use super::{PASSWORD, Pace, message, messages, number, number_after};
use crate::imap::Answer;
use crate::{Addresses, Imap};

/// What the clients were told.
pub struct Carry {
    user: String,
    pace: Arc<Pace>,
    next: AtomicU64,
    /// The last acknowledged state of each message.
    states: Mutex<BTreeMap<u64, State>>,
}

/// How far a message has come. `Perhaps`: the answer never came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    PerhapsAppended,
    Appended,
    PerhapsMoved,
    Moved,
    PerhapsGone,
    Gone,
}

impl Carry {
    /// For an account that nobody else writes to.
    pub fn new(user: &str, pace: Arc<Pace>) -> Self {
        Self {
            user: user.to_owned(),
            pace,
            next: AtomicU64::new(0),
            states: Mutex::default(),
        }
    }

    /// Appends up to `count` messages and moves or expunges each.
    pub async fn work(&self, at: &Addresses, count: usize) -> anyhow::Result<()> {
        let mut imap = at.imap_login(&self.user, PASSWORD).await?;
        imap.run("SELECT INBOX").await?.ok()?;
        for _ in 0..count {
            if !self.pace.next().await {
                break;
            }
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.carry(&mut imap, number).await?;
        }
        Ok(())
    }

    async fn carry(&self, imap: &mut Imap, number: u64) -> anyhow::Result<()> {
        self.set(number, State::PerhapsAppended);
        let text = message(number, 20);
        let append = async { imap.append("INBOX", "\\Seen", &text).await };
        let appended = self.note(Kind::Append, append).await?;
        self.set(number, State::Appended);
        // [APPENDUID uidvalidity uid]
        let code = appended.status.split_once("APPENDUID ");
        let uid = number_after(code.context("no APPENDUID")?.1, " ")?;
        if number.is_multiple_of(3) {
            imap.run(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"))
                .await?
                .ok()?;
            self.set(number, State::PerhapsGone);
            let command = format!("UID EXPUNGE {uid}");
            self.note(Kind::Expunge, imap.run(&command)).await?;
            self.set(number, State::Gone);
        } else {
            self.set(number, State::PerhapsMoved);
            let command = format!("UID MOVE {uid} Archive");
            self.note(Kind::Move, imap.run(&command)).await?;
            self.set(number, State::Moved);
        }
        Ok(())
    }

    /// Runs one change and notes what became of it.
    async fn note(
        &self,
        kind: Kind,
        change: impl Future<Output = anyhow::Result<Answer>>,
    ) -> anyhow::Result<Answer> {
        let op = self.pace.journal().begin(kind);
        let answer = change.await?;
        match told_by_imap(&answer.status) {
            Outcome::Acknowledged => op.acknowledged(),
            Outcome::Refused => op.refused(),
            Outcome::Unknown => {}
        }
        answer.ok()
    }

    fn set(&self, number: u64, state: State) {
        self.states.lock().insert(number, state);
    }

    /// How many messages came to their end.
    pub fn acknowledged(&self) -> usize {
        self.count(State::Moved) + self.count(State::Gone)
    }

    fn count(&self, state: State) -> usize {
        self.states.lock().values().filter(|s| **s == state).count()
    }

    /// Compares the mailboxes with what was told.
    pub async fn compare(&self, at: &Addresses) -> anyhow::Result<()> {
        let mut places = Vec::new();
        for mailbox in ["INBOX", "Archive"] {
            let mut numbers = BTreeSet::new();
            for line in messages(at, &self.user, mailbox).await? {
                ensure!(
                    numbers.insert(number(&line)?),
                    "twice in {mailbox}: {line:.200}"
                );
            }
            places.push(numbers);
        }
        for (number, state) in self.states.lock().iter() {
            let place = (places[0].contains(number), places[1].contains(number));
            let right = match state {
                State::PerhapsAppended => !place.1,
                State::Appended => place == (true, false),
                State::PerhapsMoved => place.0 != place.1,
                State::Moved => place == (false, true),
                State::PerhapsGone => !place.1,
                State::Gone => place == (false, false),
            };
            ensure!(
                right,
                "message {number} was {state:?}, but (INBOX, Archive) is {place:?}"
            );
        }
        Ok(())
    }
}

impl fmt::Display for Carry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begun = self.states.lock().len();
        let (moved, gone) = (self.count(State::Moved), self.count(State::Gone));
        write!(f, "IMAP {begun} appended, {moved} moved, {gone} expunged")
    }
}
