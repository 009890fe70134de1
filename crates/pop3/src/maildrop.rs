//! The maildrop: the messages of INBOX as of login, their numbers, sizes and
//! deletion marks. Holds 40 bytes a message, so that a session's memory is bounded.

use std::ops::RangeInclusive;

use postrider_meta::{Client, Detail, Error, ReadAt, Token, UidRanges, query};
use postrider_types::{AccountId, BodyId, MailboxId, ModSeq, Uid, UidValidity};

/// The most messages in a maildrop.
pub const MAX_MESSAGES: usize = 20_000;
/// Messages in one query.
const PAGE: u32 = 10_000;

/// A message of the maildrop.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) uid: Uid,
    /// In octets, as the message is stored.
    pub(crate) size: u64,
    pub(crate) body: BodyId,
    /// Marked by DELE.
    pub(crate) deleted: bool,
}

/// An open maildrop.
#[derive(Debug)]
pub(crate) struct Maildrop {
    pub(crate) account: AccountId,
    pub(crate) mailbox: MailboxId,
    pub(crate) uid_validity: UidValidity,
    /// The state that it was read from.
    pub(crate) token: Token,
    /// It may have been an old one.
    pub(crate) stale: bool,
    /// By message number, from 1 on.
    entries: Vec<Entry>,
}

impl Maildrop {
    /// Opens the maildrop of `account`: everything that was delivered before now
    /// is in it.
    pub(crate) async fn open(meta: &Client, account: AccountId) -> Result<Self, Error> {
        let ask = query::MailboxByName {
            account,
            name: "INBOX".into(),
        };
        let read = meta.read(ask, ReadAt::Latest, Token::default()).await?;
        let mailbox = read
            .answer
            .ok_or_else(|| Error::Failed("the account has no INBOX".into()))?;
        let mut maildrop = Self {
            account,
            mailbox: mailbox.id,
            uid_validity: mailbox.uid_validity,
            token: read.token,
            stale: read.stale,
            entries: Vec::new(),
        };
        let mut from = Some(Uid(1));
        while let (Some(first), left @ 1..) = (from, MAX_MESSAGES - maildrop.entries.len()) {
            let ask = query::Messages {
                account,
                mailbox: mailbox.id,
                uids: UidRanges(vec![first.0..=u32::MAX]),
                detail: Detail::Row,
                changed_since: ModSeq(0),
                limit: PAGE.min(u32::try_from(left).unwrap_or(PAGE)),
            };
            let (page, token) = meta.ask(ask, ReadAt::AtLeast(maildrop.token)).await?;
            maildrop.token = maildrop.token.max(token);
            maildrop
                .entries
                .extend(page.messages.into_iter().take(left).map(|m| Entry {
                    uid: m.uid,
                    size: m.size,
                    body: m.body,
                    deleted: false,
                }));
            from = page.next;
        }
        maildrop.entries.shrink_to_fit();
        Ok(maildrop)
    }

    /// The index of the message with this number, if there is one and it is not
    /// marked as deleted.
    pub(crate) fn index(&self, number: u32) -> Option<usize> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let entry = self.entries.get(index)?;
        (!entry.deleted).then_some(index)
    }

    pub(crate) fn entry(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// Marks a message as deleted.
    pub(crate) fn mark(&mut self, index: usize) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.deleted = true;
        }
    }

    /// Takes all marks back.
    pub(crate) fn unmark_all(&mut self) {
        for entry in &mut self.entries {
            entry.deleted = false;
        }
    }

    /// Numbers and messages that are not marked as deleted, from `index` on.
    pub(crate) fn listed(&self, index: usize) -> impl Iterator<Item = (usize, &Entry)> {
        self.entries
            .iter()
            .enumerate()
            .skip(index)
            .filter(|(_, e)| !e.deleted)
    }

    /// How many messages are not marked as deleted, and their octets.
    pub(crate) fn total(&self) -> (usize, u64) {
        self.listed(0)
            .fold((0, 0), |(n, size), (_, e)| (n + 1, size + e.size))
    }

    /// The messages marked as deleted.
    pub(crate) fn marked(&self) -> UidRanges {
        ranges(self.entries.iter().filter(|e| e.deleted).map(|e| e.uid.0))
    }
}

/// Ascending UIDs as ranges.
pub(crate) fn ranges(uids: impl Iterator<Item = u32>) -> UidRanges {
    let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
    for uid in uids {
        match ranges.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(uid) => *last = *last.start()..=uid,
            _ => ranges.push(uid..=uid),
        }
    }
    UidRanges(ranges)
}
