//! What happened in a mailbox after a moment.

use bytes::Bytes;
use postrider_kv::{self as kv, Range, Read};
use postrider_types::{AccountId, MailboxId, ModSeq, Uid};
use serde::{Deserialize, Serialize};

use super::messages;
use crate::mailbox::Mailbox;
use crate::view::MessageView;
use crate::{directory, key, row};

/// What happened in a mailbox after a moment: from the change log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangesSince {
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Changes with a MODSEQ above this.
    pub since: ModSeq,
    /// The most log entries to read, 1 to 10,000.
    pub limit: u32,
}

/// A page of changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePage {
    /// The mailbox is gone, or its account is suspended or removed.
    pub gone: bool,
    /// The log no longer reaches back to `since`: read the mailbox anew.
    pub truncated: bool,
    /// New or changed messages as they are now ([`Detail::Flags`]), ascending by UID.
    pub changed: Vec<MessageView>,
    /// UIDs that were removed, ascending.
    pub vanished: Vec<Uid>,
    /// The answer covers all changes up to and including this MODSEQ.
    pub up_to: ModSeq,
    /// There is more: ask again since `up_to`.
    pub more: bool,
}

/// The most entries of an answer.
const MOST: u32 = 10_000;
/// An answer ends at about this many removed UIDs: one entry may hold many.
const VANISHED: usize = 100_000;

/// What one entry of the log says.
enum Entry {
    Changed(Uid),
    Vanished(row::Vanished),
}

pub(super) async fn answer<R: Read>(read: &R, query: ChangesSince) -> kv::Result<ChangePage> {
    let found = match directory::in_use(read, query.account).await? {
        true => Mailbox::by_id(read, query.account, query.mailbox).await?,
        false => None,
    };
    let mut page = ChangePage {
        gone: found.is_none(),
        truncated: false,
        changed: Vec::new(),
        vanished: Vec::new(),
        up_to: query.since,
        more: false,
    };
    let Some(mailbox) = found else {
        return Ok(page);
    };
    let highest = ModSeq(mailbox.row.highest_mod_seq);
    if query.since >= highest {
        return Ok(page);
    }
    page.truncated = query.since.0 < mailbox.row.log_floor;
    if page.truncated {
        page.up_to = highest;
        return Ok(page);
    }
    let limit = query.limit.clamp(1, MOST) as usize;
    let entries = log(read, &query, limit + 1).await?;
    page.more = entries.len() > limit;
    let mut changed = Vec::new();
    for (mod_seq, entry) in entries.into_iter().take(limit) {
        if page.vanished.len() >= VANISHED {
            page.more = true;
            break;
        }
        page.up_to = mod_seq;
        match entry {
            Entry::Changed(uid) => changed.push(uid),
            Entry::Vanished(entry) => page.vanished.extend(entry.uids()),
        }
    }
    if !page.more {
        page.up_to = highest;
    }
    changed.sort_unstable();
    page.vanished.sort_unstable();
    page.changed = messages::flags_of(read, query.account, query.mailbox, &changed).await?;
    Ok(page)
}

/// Both halves of the log behind `since`, by MODSEQ, at most `limit`.
async fn log<R: Read>(
    read: &R,
    query: &ChangesSince,
    limit: usize,
) -> kv::Result<Vec<(ModSeq, Entry)>> {
    let (account, mailbox) = (query.account, query.mailbox);
    let changes = Range::prefix(&key::changes(account, mailbox), limit).after(&key::changed(
        account,
        mailbox,
        query.since,
    ));
    let removals = Range::prefix(&key::vanished_of(account, mailbox), limit).after(&key::vanished(
        account,
        mailbox,
        query.since,
    ));
    let mod_seq = |key: &Bytes| key::mod_seq_of(key).ok_or_else(|| row::bad_key(key));
    let mut entries = Vec::new();
    for (key, row) in row::range::<row::Changed>(read, changes).await? {
        entries.push((mod_seq(&key)?, Entry::Changed(Uid(row.uid))));
    }
    for (key, row) in row::range::<row::Vanished>(read, removals).await? {
        entries.push((mod_seq(&key)?, Entry::Vanished(row)));
    }
    entries.sort_unstable_by_key(|(mod_seq, _)| *mod_seq);
    entries.truncate(limit);
    Ok(entries)
}
