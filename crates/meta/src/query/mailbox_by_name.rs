//! One mailbox.

use postrider_kv::{self as kv, Read};
use postrider_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::mailbox::Mailbox;
use crate::view::MailboxView;
use crate::{directory, key, name};

/// One mailbox by its name (INBOX in any case). None for an account that was
/// suspended or removed, even if its session began before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MailboxByName {
    /// The account.
    pub account: AccountId,
    /// The full name.
    pub name: String,
}

pub(super) async fn answer<R: Read>(
    read: &R,
    query: MailboxByName,
) -> kv::Result<Option<MailboxView>> {
    if !directory::in_use(read, query.account).await? {
        return Ok(None);
    }
    let name = name::normal(&query.name);
    let Some(mailbox) = Mailbox::by_name(read, query.account, &name).await? else {
        return Ok(None);
    };
    let subscription = key::subscription(query.account, &name);
    let subscribed = read.get(&subscription).await?.is_some();
    Ok(Some(mailbox.view(subscribed)))
}
