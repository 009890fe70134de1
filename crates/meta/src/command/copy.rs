//! Copies or moves messages within an account.

use postrider_kv::Txn;
use postrider_types::{AccountId, MailboxId, Uid, UidValidity};
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::api::{Context, Refusal};
use crate::body::References;
use crate::mailbox::Mailbox;
use crate::stop::Stop;
use crate::uids::Uids;
use crate::view::UidRanges;
use crate::{limit, message, name};

/// Copies or moves up to 1,000 messages within an account, all or none
/// (RFC 9051 §6.4.7, RFC 6851).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Copy {
    /// The account.
    pub account: AccountId,
    /// The source.
    pub from: MailboxId,
    /// The messages; UIDs without a message are passed over. Refused with
    /// [`Refusal::Limit`] where more than 1,000 exist.
    pub uids: UidRanges,
    /// The target mailbox's name.
    pub to: String,
    /// Remove the originals.
    pub remove: bool,
}

/// What [`Copy`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The target.
    pub mailbox: MailboxId,
    /// Its UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// Source and target UIDs, ascending.
    pub uids: Vec<(Uid, Uid)>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: Copy,
) -> Result<Copied, Stop> {
    let uids = Uids::of_command(&command.uids)?;
    let mut account = Account::open(txn, cx.now, command.account).await?;
    let found = Mailbox::by_id(txn, account.id, command.from).await?;
    let mut source = found.ok_or_else(message::no_mailbox)?;
    let name = name::normal(&command.to);
    let Some(mut target) = Mailbox::by_name(txn, account.id, &name).await? else {
        return Err(name::missing(&name).into());
    };
    let messages = uids
        .messages(txn, account.id, source.id, limit::MESSAGES + 1)
        .await?;
    message::check_count(messages.len())?;
    let copied = |uids| Copied {
        mailbox: target.id,
        uid_validity: UidValidity(target.row.uid_validity),
        uids,
    };
    if messages.is_empty() {
        return Ok(copied(Vec::new()));
    }
    if !command.remove {
        let size = messages.iter().map(|(_, message)| message.size);
        let size = size.fold(0, u64::saturating_add);
        if !account.has_room(size, messages.len() as u64) {
            return Err(Refusal::OverQuota.into());
        }
        let rows = messages.iter().map(|(_, message)| message);
        References::of(rows)?.add(txn).await?;
    }
    let mut copied = copied(Vec::with_capacity(messages.len()));
    // RFC 9051 §6.4.7: flags and INTERNALDATE are preserved.
    for (uid, message) in &messages {
        let new = target.add(txn, &mut account, message.clone())?;
        copied.uids.push((*uid, new));
    }
    if command.remove {
        // Within one mailbox both ends are the same counters.
        let within = source.id == target.id;
        let from = if within { &mut target } else { &mut source };
        from.remove(txn, &mut account, cx.now, &messages).await?;
        if !within {
            source.save(txn);
        }
    }
    target.save(txn);
    account.save(txn);
    Ok(copied)
}
