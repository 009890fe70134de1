//! Claims `\Recent` for a session that selects a mailbox.

use postrider_kv::Txn;
use postrider_types::{AccountId, MailboxId, Uid};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::account::Account;
use crate::mailbox::Mailbox;
use crate::message;
use crate::stop::Stop;

/// Claims all messages that no session has announced as `\Recent` yet: those
/// from the answered UID on (RFC 3501 §2.3.2). For SELECT, not EXAMINE; without
/// such messages ([`crate::MailboxView::first_recent`] is not below `uid_next`)
/// there is no need to call it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClaimRecent {
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: ClaimRecent,
) -> Result<Uid, Stop> {
    let account = Account::open(txn, cx.now, command.account).await?;
    let found = Mailbox::by_id(txn, account.id, command.mailbox).await?;
    let mut mailbox = found.ok_or_else(message::no_mailbox)?;
    let first = Uid(mailbox.row.first_recent);
    if mailbox.row.first_recent < mailbox.row.uid_next {
        mailbox.row.first_recent = mailbox.row.uid_next;
        mailbox.save(txn);
    }
    Ok(first)
}
