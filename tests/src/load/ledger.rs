//! Numbered messages that were sent, and what the senders were told of each.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{bail, ensure};
use parking_lot::Mutex;

use super::journal::{Journal, Kind, Outcome, told};
use super::message;
use crate::Smtp;

/// Messages of one load.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    next: AtomicU64,
    /// Answered 250.
    accepted: Mutex<BTreeSet<u64>>,
    /// The answer never came, or told nothing: there once or not at all.
    unknown: Mutex<BTreeSet<u64>>,
}

impl Ledger {
    /// Sends the next message; its length in lines is what `lines` says of its
    /// number. Fails unless it is acknowledged.
    pub(super) async fn send(
        &self,
        smtp: &mut Smtp,
        (journal, kind): (&Journal, Kind),
        to: &str,
        lines: impl Fn(u64) -> usize,
    ) -> anyhow::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.unknown.lock().insert(number);
        let op = journal.begin(kind);
        if let Some(reply) = smtp.offer("s@outside.test", to).await? {
            op.refused();
            self.unknown.lock().remove(&number);
            bail!("message {number}: {reply:?}");
        }
        let reply = smtp.content(&message(number, lines(number))).await?;
        match told(&reply) {
            Outcome::Acknowledged => {
                op.acknowledged();
                self.accepted.lock().insert(number);
                self.unknown.lock().remove(&number);
                Ok(())
            }
            Outcome::Refused => {
                op.refused();
                self.unknown.lock().remove(&number);
                bail!("message {number}: {reply:?}")
            }
            Outcome::Unknown => bail!("message {number}: {reply:?}"),
        }
    }

    /// How many were acknowledged, and of how many nobody was told anything.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.accepted.lock().len(), self.unknown.lock().len())
    }

    /// The acknowledged ones that are not in `found`.
    pub(super) fn missing(&self, found: &BTreeSet<u64>) -> BTreeSet<u64> {
        self.accepted.lock().difference(found).copied().collect()
    }

    /// Fails if `found` has what was refused, or lacks what was acknowledged and
    /// is not `excused`.
    pub(super) fn compare(
        &self,
        found: &BTreeSet<u64>,
        excused: impl Fn(u64) -> bool,
    ) -> anyhow::Result<()> {
        let mut lost = self.missing(found);
        lost.retain(|number| !excused(*number));
        ensure!(lost.is_empty(), "acknowledged messages are lost: {lost:?}");
        let (accepted, unknown) = (self.accepted.lock(), self.unknown.lock());
        for number in found {
            ensure!(
                accepted.contains(number) || unknown.contains(number),
                "message {number} was refused, and is there"
            );
        }
        Ok(())
    }
}
