//! Creates a mailbox.

use postrider_kv::Txn;
use postrider_types::{AccountId, MailboxId};
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::account::Account;
use crate::mailbox::Mailbox;
use crate::name;
use crate::stop::Stop;
use crate::view::SpecialUse;

/// Creates a mailbox and its missing superiors (RFC 9051 §6.3.4).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateMailbox {
    /// The account.
    pub account: AccountId,
    /// The full name in UTF-8, `/` between levels, at most 255 characters and 20
    /// levels. One `/` at the end only says that inferiors will follow.
    pub name: String,
    /// Its special use (RFC 6154 §3).
    pub special_use: Option<SpecialUse>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: CreateMailbox,
) -> Result<MailboxId, Stop> {
    // RFC 9051 §6.3.4: a final separator declares that inferiors will follow.
    let name = command.name.strip_suffix('/').unwrap_or(&command.name);
    let name = name::check(name)?;
    let mut account = Account::open(txn, cx.now, command.account).await?;
    let special_use = command.special_use;
    let mailbox =
        Mailbox::create_with_superiors(txn, &mut account, cx.now, &name, special_use).await?;
    account.save(txn);
    Ok(mailbox.id)
}
