//! One bounded step of removing what deleted mailboxes and accounts left.

use postrider_kv::{self as kv, Range, Txn};
use postrider_types::{AccountId, MailboxId, Millis};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::body::References;
use crate::stop::Stop;
use crate::{key, limit, row};

/// One step of purging deleted mailboxes and accounts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Purge {
    /// The most messages to remove, 1 to 1,000.
    pub limit: u32,
}

/// What [`Purge`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// There is more to purge.
    pub more: bool,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: Purge,
) -> Result<Purged, Stop> {
    let mut left = command.limit.clamp(1, limit::PURGE) as usize;
    while left > 0 {
        let first = txn.range(Range::prefix(&key::purges(), 1)).await?;
        let Some((task, _)) = first.first() else {
            return Ok(Purged { more: false });
        };
        let (account, mailbox) = key::purge_of(task).ok_or_else(|| row::bad_key(task))?;
        let done = remove_messages(txn, cx.latest, account, mailbox, left).await?;
        left -= done;
        if left == 0 {
            break;
        }
        let done = remove_log(txn, account, mailbox, left).await?;
        left -= done;
        if left == 0 {
            break;
        }
        finish(txn, account, mailbox);
        left -= 1;
    }
    let rest = txn.range(Range::prefix(&key::purges(), 1)).await?;
    Ok(Purged {
        more: !rest.is_empty(),
    })
}

/// Removes up to `limit` messages and lets go of their bodies.
async fn remove_messages<T: Txn>(
    txn: &mut T,
    now: Millis,
    account: AccountId,
    mailbox: Option<MailboxId>,
    limit: usize,
) -> kv::Result<usize> {
    let prefix = match mailbox {
        Some(mailbox) => key::messages(account, mailbox),
        None => key::all_messages(account),
    };
    let messages = row::range::<row::Message>(txn, Range::prefix(&prefix, limit)).await?;
    let rows = messages.iter().map(|(_, message)| message);
    References::of(rows)?.drop(txn, now).await?;
    if let Some((last, _)) = messages.last() {
        txn.delete_range(prefix, kv::key::successor(last));
    }
    Ok(messages.len())
}

/// Removes up to `limit` entries of the log of removals, which an index by time
/// points to.
async fn remove_log<T: Txn>(
    txn: &mut T,
    account: AccountId,
    mailbox: Option<MailboxId>,
    limit: usize,
) -> kv::Result<usize> {
    let prefix = match mailbox {
        Some(mailbox) => key::vanished_of(account, mailbox),
        None => key::all_vanished(account),
    };
    let entries = row::range::<row::Vanished>(txn, Range::prefix(&prefix, limit)).await?;
    for (entry, vanished) in &entries {
        let at = (key::mailbox_of(entry), key::mod_seq_of(entry));
        let (Some(mailbox), Some(mod_seq)) = at else {
            return Err(row::bad_key(entry));
        };
        let at = Millis(vanished.at);
        txn.delete(key::vanished_time(at, account, mailbox, mod_seq));
    }
    if let Some((last, _)) = entries.last() {
        txn.delete_range(prefix, kv::key::successor(last));
    }
    Ok(entries.len())
}

/// Removes what needs no look: whole ranges, and the task itself.
fn finish(txn: &mut impl Txn, account: AccountId, mailbox: Option<MailboxId>) {
    let ranges = match mailbox {
        Some(mailbox) => vec![
            key::changes(account, mailbox),
            key::all_deleted(account, mailbox),
            key::purge_mailbox(account, mailbox),
        ],
        None => vec![key::all_of(account), key::purges_of(account)],
    };
    for prefix in ranges {
        let end = kv::key::successor(&prefix);
        txn.delete_range(prefix, end);
    }
}
