//! Changes flags.

use postrider_kv::Txn;
use postrider_types::{AccountId, Flags, MailboxId, ModSeq, Uid};
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::api::Context;
use crate::mailbox::Mailbox;
use crate::stop::Stop;
use crate::uids::Uids;
use crate::view::UidRanges;
use crate::{limit, message};

/// How [`Store`] changes flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreMode {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// Changes flags of up to 1,000 messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Store {
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The messages; UIDs without a message are passed over. Refused with
    /// [`crate::Refusal::Limit`] where more than 1,000 exist.
    pub uids: UidRanges,
    /// How.
    pub mode: StoreMode,
    /// The flags.
    pub flags: Flags,
    /// Leave messages with a MODSEQ above this (RFC 7162 §3.1.3).
    pub unchanged_since: Option<ModSeq>,
}

/// What [`Store`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Each message that passed the condition, with the MODSEQ and flags that it
    /// now has, ascending by UID. A message whose flags did not change keeps its MODSEQ.
    pub messages: Vec<(Uid, ModSeq, Flags)>,
    /// Messages that failed the condition.
    pub modified: Vec<Uid>,
    /// UIDs asked for singly that have no message (any more).
    pub missing: Vec<Uid>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: Store,
) -> Result<Stored, Stop> {
    message::check_flags(&command.flags)?;
    let uids = Uids::of_command(&command.uids)?;
    let mut account = Account::open(txn, cx.now, command.account).await?;
    let found = Mailbox::by_id(txn, account.id, command.mailbox).await?;
    let mut mailbox = found.ok_or_else(message::no_mailbox)?;
    let messages = uids
        .messages(txn, account.id, mailbox.id, limit::MESSAGES + 1)
        .await?;
    message::check_count(messages.len())?;
    let exists = |uid: &Uid| messages.binary_search_by_key(uid, |(uid, _)| *uid).is_ok();
    let mut stored = Stored {
        messages: Vec::with_capacity(messages.len()),
        modified: Vec::new(),
        missing: uids.singles().filter(|uid| !exists(uid)).collect(),
    };
    let mut changed = false;
    for (uid, before) in &messages {
        // RFC 7162 §3.1.3: such a message is left as it is and reported.
        if command
            .unchanged_since
            .is_some_and(|m| before.mod_seq > m.0)
        {
            stored.modified.push(*uid);
            continue;
        }
        let old = before.flags();
        let new = changed_flags(&old, command.mode, &command.flags);
        let mut mod_seq = ModSeq(before.mod_seq);
        if new != old {
            message::check_flags(&new)?;
            let mut after = before.clone();
            after.set_flags(&new);
            mod_seq = mailbox.change(txn, &mut account, *uid, before, after);
            changed = true;
        }
        stored.messages.push((*uid, mod_seq, new));
    }
    if changed {
        mailbox.save(txn);
        account.save(txn);
    }
    Ok(stored)
}

fn changed_flags(old: &Flags, mode: StoreMode, flags: &Flags) -> Flags {
    match mode {
        StoreMode::Replace => flags.clone(),
        StoreMode::Add => {
            let mut new = old.clone();
            for flag in flags.iter() {
                // A keyword is kept as it was first written.
                new.insert(flag.clone());
            }
            new
        }
        StoreMode::Remove => {
            let mut new = old.clone();
            for flag in flags.iter() {
                new.remove(flag);
            }
            new
        }
    }
}
