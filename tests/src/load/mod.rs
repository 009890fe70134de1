//! Clients under load that note what they were told, and compare it with the
//! mailboxes afterwards.
//!
//! Each kind works on an account of its own: `deliver` sends by SMTP and changes
//! flags, `carry` appends, moves and expunges by IMAP, `drain` fills a maildrop by
//! LMTP and empties it by POP3, `outward` sends to another server. A turn of a client is one connection; it fails
//! when the connection breaks or the server refuses. What was asked and not
//! answered may have happened or not; what was answered must hold.

mod carry;
mod deliver;
mod drain;
mod journal;
mod ledger;
mod outward;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};

pub use carry::Carry;
pub use deliver::Deliver;
pub use drain::Drain;
pub use journal::{Journal, Kind, Op, Outcome, Write};
pub use outward::Outward;

use crate::Addresses;

/// Everybody's password.
const PASSWORD: &str = "postrider";

/// How fast clients work, how long, and what became of it.
#[derive(Debug, Default)]
pub struct Pace {
    pause: Duration,
    stopped: AtomicBool,
    journal: Journal,
}

impl Pace {
    /// With a pause before each step.
    pub fn new(pause: Duration) -> Self {
        Self {
            pause,
            ..Self::default()
        }
    }

    /// Where clients note what they are told.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Lets every client end before its next step.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Waits for the next step; false when there is none.
    pub async fn next(&self) -> bool {
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        !self.is_stopped()
    }

    /// Whether there are no more steps.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Every message of a mailbox as the untagged FETCH lines tell it: UID, flags and
/// the whole body.
pub async fn messages(at: &Addresses, user: &str, mailbox: &str) -> anyhow::Result<Vec<String>> {
    let mut imap = at.imap_login(user, PASSWORD).await?;
    // SELECT would take \Recent away from whoever looks next.
    let selected = imap.run(&format!("EXAMINE {mailbox}")).await?.ok()?;
    if selected.with("EXISTS").any(|line| line == "0 EXISTS") {
        return Ok(Vec::new());
    }
    let all = imap
        .run("UID FETCH 1:* (UID FLAGS BODY.PEEK[])")
        .await?
        .ok()?;
    Ok(all.untagged)
}

/// Compares what the quota counts with the sums over all mailboxes. The account
/// has limits for both, without which nothing is told.
pub async fn compare_quota(at: &Addresses, user: &str) -> anyhow::Result<()> {
    let mut imap = at.imap_login(user, PASSWORD).await?;
    let list = imap.run("LIST \"\" *").await?.ok()?;
    let names: BTreeSet<String> = list
        .untagged
        .iter()
        .filter_map(|line| line.rsplit(' ').next())
        .map(str::to_owned)
        .collect();
    let (mut bytes, mut count) = (0, 0);
    for name in names {
        let selected = imap.run(&format!("EXAMINE {name}")).await?.ok()?;
        if selected.with("EXISTS").any(|line| line == "0 EXISTS") {
            continue;
        }
        for line in imap.run("FETCH 1:* RFC822.SIZE").await?.ok()?.untagged {
            bytes += number_after(&line, "RFC822.SIZE ")?;
            count += 1;
        }
    }
    let quota = imap.run("GETQUOTAROOT INBOX").await?.ok()?;
    let quota = quota.untagged.join(" ");
    let told = (
        number_after(&quota, "STORAGE ")?,
        number_after(&quota, "MESSAGE ")?,
    );
    // RFC 9208 §5.1: in units of 1,024 bytes.
    let sums = (bytes.div_ceil(1024), count);
    ensure!(
        told == sums,
        "{user}: the quota counts {told:?}, the mailboxes have {sums:?}"
    );
    Ok(())
}

/// A numbered message with `lines` lines that name it.
fn message(number: u64, lines: usize) -> String {
    let body = format!("line of {number}\r\n").repeat(lines);
    format!("From: s@outside.test\r\nSubject: number {number}\r\n\r\n{body}")
}

/// The number of the message in a FETCH line.
fn number(line: &str) -> anyhow::Result<u64> {
    number_after(line, "Subject: number ")
}

/// The number behind the first `label`.
fn number_after(text: &str, label: &str) -> anyhow::Result<u64> {
    let rest = text
        .split_once(label)
        .with_context(|| format!("no {label:?} in {text:.300}"))?
        .1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}
