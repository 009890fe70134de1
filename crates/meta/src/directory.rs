//! What the directory's commands and queries share: looking up domains,
//! addresses and accounts, and turning their rows into views.

use postrider_kv::{self as kv, Range, Read};
use postrider_types::{AccountId, Address, DomainName, Millis};

use crate::api::Refusal;
use crate::key;
use crate::row::{self, Holder};
use crate::stop::Stop;
use crate::view::{AccountState, AccountView, Cursor, Page, SpecialUse};

/// The most targets of an alias.
pub(crate) const MAX_ALIAS_TARGETS: usize = 100;
/// The most members of a group.
pub(crate) const MAX_GROUP_MEMBERS: usize = 10_000;
/// The detail of the address to which the bounces of a list go.
pub(crate) const BOUNCES: &str = "bounces";
/// The longest local part of a list, in bytes: with `+bounces` it is as long as
/// one may be (RFC 5321 §4.5.3.1.1).
pub(crate) const MAX_LIST_LOCAL: usize = 64 - 1 - BOUNCES.len();

/// The domain `name`, if it is local.
pub(crate) async fn domain(read: &impl Read, name: &DomainName) -> kv::Result<Option<row::Domain>> {
    row::get(read, &key::domain(name)).await
}

/// The domain `name`; refused if it is not local.
pub(crate) async fn local_domain(read: &impl Read, name: &DomainName) -> Result<row::Domain, Stop> {
    let refusal = || Refusal::NotFound(format!("local domain {name}"));
    Ok(domain(read, name).await?.ok_or_else(refusal)?)
}

/// The domain of an address that is to be added; refused if it is not local.
pub(crate) async fn domain_of_new(
    read: &impl Read,
    address: &Address,
) -> Result<row::Domain, Stop> {
    let name = address.domain();
    let refusal = || Refusal::NotFound(format!("local domain {name}; add the domain first"));
    Ok(domain(read, name).await?.ok_or_else(refusal)?)
}

/// Who holds `address`.
pub(crate) async fn holder(read: &impl Read, address: &Address) -> kv::Result<Option<row::Name>> {
    row::get(read, &key::name(address)).await
}

/// Refuses if `address` has a holder, or could be taken for one with a plus.
pub(crate) async fn must_be_free(read: &impl Read, address: &Address) -> Result<(), Stop> {
    if address.local().contains('+') {
        let text = "an address of its own has no plus: what follows a plus names a mailbox";
        return Err(Refusal::Invalid(text.into()).into());
    }
    if let Some(name) = holder(read, address).await? {
        let kind = match name.holder() {
            Holder::Account => "account",
            Holder::Alias => "alias",
            Holder::Group => "group",
            Holder::Unknown => "address",
        };
        return Err(Refusal::Exists(format!("the {kind} {address}")).into());
    }
    Ok(())
}

/// The account with the primary address `address`.
pub(crate) async fn account(
    read: &impl Read,
    address: &Address,
) -> kv::Result<Option<(AccountId, row::Account)>> {
    let Some(name) = holder(read, address).await? else {
        return Ok(None);
    };
    if name.holder() != Holder::Account {
        return Ok(None);
    }
    let id = AccountId(name.account);
    let row = row::get::<row::Account>(read, &key::account(id)).await?;
    Ok(row.map(|row| (id, row)))
}

/// The account with the primary address `address`, or a refusal.
pub(crate) async fn existing_account(
    read: &impl Read,
    address: &Address,
) -> Result<(AccountId, row::Account), Stop> {
    let refusal = || Refusal::NotFound(format!("account {address}"));
    Ok(account(read, address).await?.ok_or_else(refusal)?)
}

/// Refuses targets that are not in a local domain: mail to whatever name does not
/// go outside, where it would make this server a source of strangers' mail.
pub(crate) async fn must_be_local(read: &impl Read, targets: &[Address]) -> Result<(), Stop> {
    for target in targets {
        if domain(read, target.domain()).await?.is_none() {
            let text = format!(
                "{target} is not in a local domain; a catch-all leads to a local address only"
            );
            return Err(Refusal::Invalid(text).into());
        }
    }
    Ok(())
}

/// Refuses a catch-all beside a relay: both are for all that is unknown here.
pub(crate) fn one_for_the_unknown(catch_all: bool, relay: bool) -> Result<(), Stop> {
    if catch_all && relay {
        let text = "a domain has a catch-all or a server behind that has the rest, not both";
        return Err(Refusal::Invalid(text.into()).into());
    }
    Ok(())
}

/// Refuses while mail waits to go on to the server behind of the domain `name`:
/// without that server it would go to the MX of the domain, which is this one, and
/// come back to its senders.
pub(crate) async fn must_have_gone_on(read: &impl Read, name: &DomainName) -> Result<(), Stop> {
    let waiting: Option<row::Destination> =
        row::get(read, &key::destination(name.as_str())).await?;
    if waiting.is_some() {
        let text = format!(
            "mail for {name} waits to go on to the server behind this one: wait until it is \
             there, or remove it (`postrider queue list --domain {name}`)"
        );
        return Err(Refusal::InUse(text).into());
    }
    Ok(())
}

/// The mailboxes that new accounts get.
pub(crate) async fn default_mailboxes(read: &impl Read) -> kv::Result<row::DefaultMailboxes> {
    if let Some(row) = row::get(read, &key::default_mailboxes()).await? {
        return Ok(row);
    }
    let built_in = [
        ("Drafts", SpecialUse::Drafts),
        ("Sent", SpecialUse::Sent),
        ("Junk", SpecialUse::Junk),
        ("Trash", SpecialUse::Trash),
        ("Archive", SpecialUse::Archive),
    ];
    let mailboxes = built_in.map(|(name, special_use)| row::DefaultMailbox {
        name: name.to_owned(),
        special_use: row::special_use_code(Some(special_use)),
    });
    Ok(row::DefaultMailboxes {
        mailboxes: mailboxes.into(),
    })
}

/// The address in a row, which was checked when it was written.
pub(crate) fn stored_address(text: &str) -> kv::Result<Address> {
    Address::parse(text).map_err(|error| kv::Error::Value {
        key: text.to_owned(),
        reason: format!("not an address: {error}"),
    })
}

/// The account as administrators see it.
pub(crate) async fn account_view(
    read: &impl Read,
    id: AccountId,
    account: row::Account,
) -> kv::Result<AccountView> {
    let counters: row::Counters = row::get(read, &key::counters(id))
        .await?
        .unwrap_or_default();
    Ok(AccountView {
        id,
        address: stored_address(&account.address)?,
        state: account.state(),
        expires: account.expires.map(Millis),
        quota: account.quota(&counters),
        created: Millis(account.created),
    })
}

/// Whether mail to the account is refused because it is closed.
pub(crate) fn closed(account: &row::Account, now: Millis) -> bool {
    account.state() == AccountState::Removing || account.expired(now)
}

/// Whether the account's sessions may go on: it exists and nobody has suspended
/// or removed it since they began.
pub(crate) async fn in_use(read: &impl Read, id: AccountId) -> kv::Result<bool> {
    let account = row::get::<row::Account>(read, &key::account(id)).await?;
    Ok(account.is_some_and(|account| account.state() == AccountState::Active))
}

/// The range of a page over all keys with `prefix`: one more than `limit`, so
/// that [`finish`] can tell whether there is another page.
pub(crate) fn page(prefix: &[u8], after: Option<&Cursor>, limit: u32, most: u32) -> Range {
    let range = Range::prefix(prefix, limit.clamp(1, most) as usize + 1);
    match after {
        // A cursor from elsewhere must not lead out of the table.
        Some(Cursor(key)) if key.starts_with(prefix) => range.after(key),
        _ => range,
    }
}

/// Cuts what a range of [`page`] returned down to its page; the next cursor.
pub(crate) fn finish<T>(
    pairs: &mut Vec<(bytes::Bytes, T)>,
    limit: u32,
    most: u32,
) -> Option<Cursor> {
    let limit = limit.clamp(1, most) as usize;
    if pairs.len() <= limit {
        return None;
    }
    pairs.truncate(limit);
    pairs.last().map(|(key, _)| Cursor(key.clone()))
}

/// A page of these items.
pub(crate) fn paged<T>(items: Vec<T>, next: Option<Cursor>) -> Page<T> {
    Page { items, next }
}
