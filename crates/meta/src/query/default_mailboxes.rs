//! The mailboxes that new accounts get.

use postrider_kv::{self as kv, Read};
use serde::{Deserialize, Serialize};

use crate::view::DefaultMailbox;
use crate::{directory, row};

/// The mailboxes that each new account gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DefaultMailboxes {}

pub(super) async fn answer<R: Read>(
    read: &R,
    _query: DefaultMailboxes,
) -> kv::Result<Vec<DefaultMailbox>> {
    let rows = directory::default_mailboxes(read)
        .await?
        .mailboxes
        .into_iter();
    let view = |mailbox: row::DefaultMailbox| DefaultMailbox {
        special_use: row::special_use(mailbox.special_use),
        name: mailbox.name,
    };
    Ok(rows.map(view).collect())
}
