//! An account's mailboxes.

use postrider_kv::{self as kv, Read};
use postrider_types::{AccountId, MailboxId};
use serde::{Deserialize, Serialize};

use super::page;
use crate::mailbox::Mailbox;
use crate::view::{Cursor, MailboxView, Page};
use crate::{key, row};

/// An account's mailboxes by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mailboxes {
    /// The account.
    pub account: AccountId,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

pub(super) async fn answer<R: Read>(read: &R, query: Mailboxes) -> kv::Result<Page<MailboxView>> {
    let account = query.account;
    let prefix = key::mailbox_names(account);
    let after = query.after.as_ref();
    let (names, next) = page::prefix_page(read, prefix, after, query.limit, 1_000).await?;
    let mut rows = Vec::with_capacity(names.len());
    let mut subscriptions = Vec::with_capacity(names.len());
    for (key, value) in &names {
        let name = key::mailbox_name_of(key).ok_or_else(|| row::bad_key(key))?;
        let found: row::MailboxName = row::decode(key, value)?;
        rows.push(key::mailbox(account, MailboxId(found.mailbox)));
        subscriptions.push(key::subscription(account, &name));
    }
    let subscribed = read.get_many(&subscriptions).await?;
    let found = row::get_many::<row::Mailbox>(read, &rows).await?;
    let mut items = Vec::with_capacity(found.len());
    for ((key, row), subscribed) in rows.iter().zip(found).zip(subscribed) {
        let id = key::mailbox_of(key).ok_or_else(|| row::bad_key(key))?;
        if let Some(row) = row {
            let mailbox = Mailbox { account, id, row };
            items.push(mailbox.view(subscribed.is_some()));
        }
    }
    Ok(page::of(items, next))
}
