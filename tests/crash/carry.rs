//! An IMAP client that appends messages and then moves or expunges each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use postrider_tests::{Addresses, Imap, Node};

use crate::{PASSWORD, message, messages, number, number_after};

const USER: &str = "bob@example.test";

/// What the client was told.
#[derive(Default)]
pub(crate) struct Told {
    next: AtomicU64,
    /// The last acknowledged state of each message.
    state: Mutex<BTreeMap<u64, State>>,
}

/// How far a message has come; the second of a pair is what may also have
/// happened, as its answer never came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    PerhapsAppended,
    Appended,
    PerhapsMoved,
    Moved,
    PerhapsGone,
    Gone,
}

/// Appends, moves and expunges until the connection breaks.
pub(crate) async fn work(addresses: Addresses, told: Arc<Told>) -> anyhow::Result<()> {
    let mut imap = Imap::login(addresses.imap, USER, PASSWORD).await?;
    imap.run("SELECT INBOX").await?.ok()?;
    loop {
        let number = told.next.fetch_add(1, Ordering::Relaxed);
        told.set(number, State::PerhapsAppended);
        let appended = imap
            .append("INBOX", "\\Seen", &message(number, 20))
            .await?
            .ok()?;
        told.set(number, State::Appended);
        // [APPENDUID uidvalidity uid]
        let code = appended.status.split_once("APPENDUID ").unwrap().1;
        let uid = number_after(code, " ");
        if number.is_multiple_of(3) {
            imap.run(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"))
                .await?
                .ok()?;
            told.set(number, State::PerhapsGone);
            imap.run(&format!("UID EXPUNGE {uid}")).await?.ok()?;
            told.set(number, State::Gone);
        } else {
            told.set(number, State::PerhapsMoved);
            imap.run(&format!("UID MOVE {uid} Archive")).await?.ok()?;
            told.set(number, State::Moved);
        }
    }
}

impl Told {
    fn set(&self, number: u64, state: State) {
        self.state.lock().insert(number, state);
    }

    /// Compares the mailboxes with what was told.
    pub(crate) async fn compare(&self, node: &Node) -> anyhow::Result<()> {
        let mut places = Vec::new();
        for mailbox in ["INBOX", "Archive"] {
            let mut numbers = BTreeSet::new();
            for line in messages(node, USER, mailbox).await? {
                assert!(
                    numbers.insert(number(&line)),
                    "twice in {mailbox}: {line:.200}"
                );
            }
            places.push(numbers);
        }
        for (number, state) in self.state.lock().iter() {
            let place = (places[0].contains(number), places[1].contains(number));
            let right = match state {
                State::PerhapsAppended => !place.1,
                State::Appended => place == (true, false),
                State::PerhapsMoved => place.0 != place.1,
                State::Moved => place == (false, true),
                State::PerhapsGone => !place.1,
                State::Gone => place == (false, false),
            };
            assert!(
                right,
                "message {number} was {state:?}, but (INBOX, Archive) is {place:?}"
            );
        }
        assert!(
            self.state.lock().len() > crate::KILLS,
            "the load was too small"
        );
        Ok(())
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = self.state.lock();
        let count = |state| states.values().filter(|s| **s == state).count();
        let (moved, gone) = (count(State::Moved), count(State::Gone));
        write!(
            f,
            "IMAP {} appended, {moved} moved, {gone} expunged",
            states.len()
        )
    }
}
