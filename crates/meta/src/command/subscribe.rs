//! Subscribes to a mailbox name, or no longer.

use postrider_kv::Txn;
use postrider_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::Context;
use crate::account::Account;
use crate::stop::Stop;
use crate::{mailbox, name};

/// Subscribes to a name, or no longer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscribe {
    /// The account.
    pub account: AccountId,
    /// The name; it need not exist.
    pub name: String,
    /// True to subscribe.
    pub subscribed: bool,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: Subscribe,
) -> Result<(), Stop> {
    let name = match command.subscribed {
        true => name::check(&command.name)?,
        false => name::normal(&command.name),
    };
    let mut account = Account::open(txn, cx.now, command.account).await?;
    mailbox::subscribe(txn, &mut account, &name, command.subscribed).await?;
    account.save(txn);
    Ok(())
}
