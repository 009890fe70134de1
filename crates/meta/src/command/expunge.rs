//! Removes messages.

use postrider_kv::{self as kv, Range, Txn};
use postrider_types::{AccountId, MailboxId, ModSeq, Uid};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::account::Account;
use crate::body::References;
use crate::mailbox::Mailbox;
use crate::stop::Stop;
use crate::uids::{self, Uids};
use crate::view::UidRanges;
use crate::{key, limit, message, row};

/// Removes messages, all or none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expunge {
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Which; UIDs without a message are passed over.
    pub uids: UidRanges,
    /// Only those with `\Deleted` (EXPUNGE); false removes all (POP3).
    pub only_deleted: bool,
    /// Stop after this many, 1 to 20,000; [`Expunged::more`] tells.
    pub limit: u32,
}

/// What [`Expunge`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expunged {
    /// Removed UIDs, ascending.
    pub uids: Vec<Uid>,
    /// The MODSEQ of the removal.
    pub mod_seq: ModSeq,
    /// There are more to remove.
    pub more: bool,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: Expunge,
) -> Result<Expunged, Stop> {
    let uids = Uids::of_command(&command.uids)?;
    let mut account = Account::open(txn, cx.now, command.account).await?;
    let found = Mailbox::by_id(txn, account.id, command.mailbox).await?;
    let mut mailbox = found.ok_or_else(message::no_mailbox)?;
    let limit = command.limit.clamp(1, limit::EXPUNGE) as usize;
    let mut messages = match command.only_deleted {
        true => deleted(txn, &mailbox, &uids, limit + 1).await?,
        false => {
            uids.messages(txn, account.id, mailbox.id, limit + 1)
                .await?
        }
    };
    let more = messages.len() > limit;
    messages.truncate(limit);
    let mod_seq = mailbox.remove(txn, &mut account, cx.now, &messages).await?;
    if !messages.is_empty() {
        let rows = messages.iter().map(|(_, message)| message);
        References::of(rows)?.drop(txn, cx.latest).await?;
        mailbox.save(txn);
        account.save(txn);
    }
    Ok(Expunged {
        uids: messages.into_iter().map(|(uid, _)| uid).collect(),
        mod_seq,
        more,
    })
}

/// The messages among `uids` with `\Deleted`, ascending, at most `limit`: by the
/// index, so that a large mailbox with few of them is not read through.
async fn deleted<T: Txn>(
    txn: &T,
    mailbox: &Mailbox,
    uids: &Uids,
    limit: usize,
) -> kv::Result<Vec<(Uid, row::Message)>> {
    let (account, id) = (mailbox.account, mailbox.id);
    let mut range = Range::prefix(&key::all_deleted(account, id), limit::EXPUNGE as usize);
    let mut found = Vec::new();
    while found.len() < limit {
        let pairs = txn.range(range.clone()).await?;
        for (key, _) in &pairs {
            let uid = key::uid_of(key).ok_or_else(|| row::bad_key(key))?;
            if uids.contains(uid) && found.len() < limit {
                found.push(uid);
            }
        }
        match pairs.last() {
            Some((last, _)) if pairs.len() == range.limit => range = range.after(last),
            _ => break,
        }
    }
    uids::existing(txn, account, id, &found).await
}
