//! SMTP senders, and an IMAP reader that sets a keyword on what arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use postrider_tests::{Addresses, Imap, Node, Smtp};

use crate::{PASSWORD, message, messages, number, number_after};

const USER: &str = "alice@example.test";

/// What the clients were told.
#[derive(Default)]
pub(crate) struct Told {
    next: AtomicU64,
    /// Answered 250.
    accepted: Mutex<BTreeSet<u64>>,
    /// The answer never came: there once or not at all.
    unknown: Mutex<BTreeSet<u64>>,
    /// UIDs whose STORE was answered OK.
    flagged: Mutex<BTreeSet<u64>>,
}

/// Delivers numbered messages until the connection breaks.
pub(crate) async fn send(addresses: Addresses, told: Arc<Told>) -> anyhow::Result<()> {
    let mut smtp = Smtp::connect(addresses.smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    loop {
        let number = told.next.fetch_add(1, Ordering::Relaxed);
        told.unknown.lock().insert(number);
        let text = message(number, lines(number));
        let reply = smtp.deliver("s@outside.test", USER, &text).await?;
        if reply.code == 250 {
            told.accepted.lock().insert(number);
        }
        told.unknown.lock().remove(&number);
    }
}

/// Sets a keyword on each message as it appears, until the connection breaks.
pub(crate) async fn flag(addresses: Addresses, told: Arc<Told>) -> anyhow::Result<()> {
    let mut imap = Imap::login(addresses.imap, USER, PASSWORD).await?;
    imap.run("SELECT INBOX").await?.ok()?;
    loop {
        imap.run("NOOP").await?.ok()?;
        for uid in imap
            .run("UID SEARCH UNKEYWORD kept")
            .await?
            .ok()?
            .search()?
        {
            imap.run(&format!("UID STORE {uid} +FLAGS.SILENT (kept)"))
                .await?
                .ok()?;
            told.flagged.lock().insert(uid.into());
        }
    }
}

/// How long a message is. Every twentieth is too large to travel inline and goes
/// to an object of its own.
fn lines(number: u64) -> usize {
    if number.is_multiple_of(20) { 8_000 } else { 50 }
}

impl Told {
    /// Compares the mailbox with what was told.
    pub(crate) async fn compare(&self, node: &Node) -> anyhow::Result<()> {
        let mut found = BTreeMap::new();
        let mut last_uid = 0;
        for line in messages(node, USER, "INBOX").await? {
            let (uid, number) = (number_after(&line, "UID "), number(&line));
            assert!(uid > last_uid, "UID {uid} after {last_uid}");
            last_uid = uid;
            assert!(
                found.insert(number, uid).is_none(),
                "message {number} twice"
            );
            let whole = line.matches(&format!("line of {number}\r\n")).count();
            assert_eq!(whole, lines(number), "message {number} is not whole");
            if self.flagged.lock().contains(&uid) {
                assert!(
                    line.contains("kept"),
                    "UID {uid} lost its keyword: {line:.200}"
                );
            }
        }
        let (accepted, unknown) = (self.accepted.lock(), self.unknown.lock());
        for number in accepted.iter() {
            assert!(
                found.contains_key(number),
                "acknowledged message {number} is lost"
            );
        }
        for number in found.keys() {
            assert!(
                accepted.contains(number) || unknown.contains(number),
                "{number} was refused"
            );
        }
        assert!(accepted.len() > crate::KILLS, "the load was too small");
        Ok(())
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (accepted, unknown) = (self.accepted.lock().len(), self.unknown.lock().len());
        let flagged = self.flagged.lock().len();
        write!(
            f,
            "SMTP {accepted} acknowledged, {unknown} unknown, {flagged} flags"
        )
    }
}
