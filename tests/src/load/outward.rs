//! Senders of messages to another server, which go through the queue.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use anyhow::ensure;

use super::journal::Kind;
use super::ledger::Ledger;
use super::{Pace, number};
use crate::{Addresses, Smtp, Taken};

/// What the clients were told.
pub struct Outward {
    recipient: String,
    pace: Arc<Pace>,
    sent: Ledger,
}

impl Outward {
    /// To an address that nobody else writes to.
    pub fn new(recipient: &str, pace: Arc<Pace>) -> Self {
        Self {
            recipient: recipient.to_owned(),
            pace,
            sent: Ledger::default(),
        }
    }

    /// Sends up to `count` numbered messages; the node must let this client.
    pub async fn send(&self, at: &Addresses, count: usize) -> anyhow::Result<()> {
        let mut smtp = Smtp::connect(at.smtp).await?;
        smtp.expect(250, "EHLO client.test").await?;
        for _ in 0..count {
            if !self.pace.next().await {
                break;
            }
            let journal = (self.pace.journal(), Kind::Outward);
            self.sent
                .send(&mut smtp, journal, &self.recipient, |_| 20)
                .await?;
        }
        Ok(())
    }

    /// How many messages were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.sent.counts().0
    }

    /// How often each message came to the other server.
    fn arrived(&self, taken: &[Taken]) -> anyhow::Result<BTreeMap<u64, usize>> {
        let to = format!("<{}>", self.recipient);
        let mut times = BTreeMap::new();
        for taken in taken {
            if taken.recipients.iter().any(|rcpt| rcpt.contains(&to)) {
                *times.entry(number(&taken.content)?).or_default() += 1;
            }
        }
        Ok(times)
    }

    /// The acknowledged messages that the other server does not have.
    pub fn missing(&self, taken: &[Taken]) -> anyhow::Result<BTreeSet<u64>> {
        let found = self.arrived(taken)?.into_keys().collect();
        Ok(self.sent.missing(&found))
    }

    /// Compares what the other server has with what was told. How many messages
    /// came more than once: those that were being handed over when a node or its
    /// connection died (RFC 5321 §4.5.4.1).
    pub fn compare(&self, taken: &[Taken]) -> anyhow::Result<usize> {
        let times = self.arrived(taken)?;
        let found: BTreeSet<u64> = times.keys().copied().collect();
        self.sent.compare(&found, |_| false)?;
        for taken in taken {
            let number = number(&taken.content)?;
            let line = format!("line of {number}\r\n");
            let whole = taken.content.matches(&line).count() == 20;
            ensure!(whole, "message {number} left in part");
        }
        Ok(times.values().filter(|times| **times > 1).count())
    }
}

impl fmt::Display for Outward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accepted, unknown) = self.sent.counts();
        write!(f, "outward {accepted} acknowledged, {unknown} unknown")
    }
}
