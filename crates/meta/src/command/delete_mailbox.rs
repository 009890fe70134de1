//! Deletes a mailbox; its messages are left to [`super::Purge`].

use postrider_kv::{Range, Txn};
use postrider_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::api::{Context, Refusal};
use crate::mailbox::Mailbox;
use crate::stop::Stop;
use crate::{key, name, row};

/// Deletes a mailbox: gone at once, its messages are purged in the background.
/// Refused for INBOX. One with inferiors stays as a name only; here it is
/// refused (RFC 9051 §6.3.5 leaves the choice).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteMailbox {
    /// The account.
    pub account: AccountId,
    /// The name.
    pub name: String,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: DeleteMailbox,
) -> Result<(), Stop> {
    let name = name::normal(&command.name);
    // RFC 9051 §6.3.5: it is an error to delete INBOX.
    if name == name::INBOX {
        let text = "INBOX cannot be deleted; every account keeps it";
        return Err(Refusal::Invalid(text.into()).into());
    }
    let mut account = Account::open(txn, cx.now, command.account).await?;
    let Some(mailbox) = Mailbox::by_name(txn, account.id, &name).await? else {
        return Err(name::missing(&name).into());
    };
    let inferior = key::mailbox_names_from(account.id, &format!("{name}/"));
    if !txn.range(Range::prefix(&inferior, 1)).await?.is_empty() {
        let text = format!("the mailbox {name} has inferiors: delete them first");
        return Err(Refusal::InUse(text).into());
    }
    txn.delete(key::mailbox_name(account.id, &name));
    txn.delete(key::mailbox(account.id, mailbox.id));
    txn.put(key::purge_mailbox(account.id, mailbox.id), row::EMPTY);
    // The quota is free at once: what is left belongs to no mailbox.
    let counters = &mut account.counters;
    counters.mailboxes = counters.mailboxes.saturating_sub(1);
    counters.bytes = counters.bytes.saturating_sub(mailbox.row.size);
    counters.messages = counters
        .messages
        .saturating_sub(u64::from(mailbox.row.messages));
    account.save(txn);
    Ok(())
}
