//! Adds an account with its first mailboxes.

use postrider_kv::Txn;
use postrider_types::{AccountId, Address, DomainId, Millis};
use serde::{Deserialize, Serialize};

use crate::row::Holder;
use crate::stop::Stop;
use crate::view::QuotaLimit;
use crate::{Context, directory, key, mailbox, row};

/// Adds an account with INBOX and the default mailboxes (subscribed).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddAccount {
    /// Its address; the domain must be local, the address free and without a plus.
    pub address: Address,
    /// The argon2id verifier, in PHC string format.
    pub verifier: String,
    /// Its limits.
    pub quota: QuotaLimit,
    /// From this moment on it is closed.
    pub expires: Option<Millis>,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: AddAccount,
) -> Result<AccountId, Stop> {
    let AddAccount {
        address,
        verifier,
        quota,
        expires,
    } = command;
    let domain = directory::domain_of_new(txn, &address).await?;
    directory::must_be_free(txn, &address).await?;
    let id = AccountId(row::next_number(txn, key::last_account()).await?);
    let account = row::Account {
        address: address.to_string(),
        state_code: 0,
        expires: expires.map(|at| at.0),
        quota_bytes: quota.bytes,
        quota_messages: quota.messages,
        created: cx.now.0,
        domain: domain.id,
    };
    row::put(txn, key::account(id), &account);
    row::put(txn, key::credentials(id), &row::Credentials { verifier });
    let name = row::Name {
        holder: Holder::Account.into(),
        account: id.0,
    };
    row::put(txn, key::name(&address), &name);
    row::put(
        txn,
        key::account_name(&address),
        &row::AccountName { account: id.0 },
    );
    txn.add(key::domain_accounts(DomainId(domain.id)), 1);
    let defaults = directory::default_mailboxes(txn).await?;
    mailbox::first_mailboxes(txn, cx, id, &defaults.mailboxes).await?;
    Ok(id)
}
