//! Sets the mailboxes that new accounts get.

use std::collections::BTreeSet;

use postrider_kv::Txn;
use serde::{Deserialize, Serialize};

use crate::stop::Stop;
use crate::view::DefaultMailbox;
use crate::{Context, Refusal, key, name, row};

/// The most mailboxes that a new account gets.
const MAX: usize = 100;

/// Sets the list of mailboxes that each new account gets. Accounts that exist
/// are left alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetDefaultMailboxes {
    /// The list, at most 100, without INBOX.
    pub mailboxes: Vec<DefaultMailbox>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    _cx: &Context,
    command: SetDefaultMailboxes,
) -> Result<(), Stop> {
    if command.mailboxes.len() > MAX {
        return Err(Refusal::Limit(format!("at most {MAX} default mailboxes")).into());
    }
    let mut names = BTreeSet::new();
    let mut mailboxes = Vec::with_capacity(command.mailboxes.len());
    for mailbox in command.mailboxes {
        let name = name::check(&mailbox.name)?;
        if name == "INBOX" {
            return Err(Refusal::Invalid("every account has INBOX: leave it out".into()).into());
        }
        if !names.insert(name.clone()) {
            return Err(Refusal::Invalid(format!("{name} is listed twice")).into());
        }
        let special_use = row::special_use_code(mailbox.special_use);
        mailboxes.push(row::DefaultMailbox { name, special_use });
    }
    row::put(
        txn,
        key::default_mailboxes(),
        &row::DefaultMailboxes { mailboxes },
    );
    Ok(())
}
