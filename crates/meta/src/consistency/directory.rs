//! Domains, addresses and who holds them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use postrider_kv::{self as kv, Range, Read};
use postrider_types::{AccountId, Address, DomainId};

use super::{Walk, counter, look_up, parsed, row_of};
use crate::view::AccountState;
use crate::{key, row};

/// Checks the directory. Answers all accounts with their rows, also those that
/// are being removed.
pub(super) async fn check<R: Read>(
    read: &R,
    findings: &mut Vec<String>,
) -> kv::Result<BTreeMap<AccountId, row::Account>> {
    let domains = domains(read, findings).await?;
    let accounts = accounts(read, findings).await?;
    let mut held: BTreeMap<Address, row::Holder> = BTreeMap::new();
    let mut walk = Walk::new(read, &key::names());
    while let Some(pairs) = walk.next().await? {
        for (key, value) in pairs {
            let Some(address) = parsed(&key, key::address_of(&key), findings) else {
                continue;
            };
            let Some(name) = row_of::<row::Name>(&key, &value, findings) else {
                continue;
            };
            if !domains.contains_key(address.domain().as_str()) {
                findings.push(format!("{address}: its domain does not exist"));
            }
            let lists = [
                key::account_name(&address),
                key::alias(&address),
                key::group(&address),
            ];
            let found = read.get_many(&lists).await?;
            let found: Vec<bool> = found.iter().map(Option::is_some).collect();
            let holder = name.holder();
            let expected = [row::Holder::Account, row::Holder::Alias, row::Holder::Group];
            if !found.iter().zip(expected).all(|(f, e)| *f == (e == holder)) {
                findings.push(format!(
                    "{address}: held as {holder:?}, listed as {found:?}"
                ));
            }
            if holder == row::Holder::Account {
                let row = accounts.get(&AccountId(name.account));
                if row.is_none_or(|row| row.address != address.to_string()) {
                    findings.push(format!(
                        "{address}: its account has another address or none"
                    ));
                }
            }
            held.insert(address, holder);
        }
    }
    listed(read, &held, findings).await?;
    per_account(read, &domains, &accounts, &held, findings).await?;
    groups(read, findings).await?;
    singles(read, &domains, &accounts, findings).await?;
    Ok(accounts)
}

async fn domains<R: Read>(
    read: &R,
    findings: &mut Vec<String>,
) -> kv::Result<BTreeMap<String, row::Domain>> {
    let mut domains = BTreeMap::new();
    let mut ids = BTreeSet::new();
    let mut walk = Walk::new(read, &key::domains());
    while let Some(pairs) = walk.next().await? {
        for (key, value) in pairs {
            let name = parsed(&key, key::object_of(&key), findings);
            let row = row_of::<row::Domain>(&key, &value, findings);
            let (Some(name), Some(row)) = (name, row) else {
                continue;
            };
            if !ids.insert(row.id) {
                findings.push(format!("domain {name}: another one has its id"));
            }
            if row
                .relay
                .as_ref()
                .is_some_and(|relay| relay.view().is_err())
            {
                findings.push(format!(
                    "domain {name}: what its mail goes on to is no server"
                ));
            }
            if row.relay.is_some() && row.catch_all.is_some() {
                findings.push(format!(
                    "domain {name}: has a catch-all and a server behind"
                ));
            }
            domains.insert(name, row);
        }
    }
    Ok(domains)
}

async fn accounts<R: Read>(
    read: &R,
    findings: &mut Vec<String>,
) -> kv::Result<BTreeMap<AccountId, row::Account>> {
    let mut accounts = BTreeMap::new();
    let mut range = Range::prefix(&key::accounts(), 1);
    // From account to account: one key of each is looked at, then all its keys
    // are passed over.
    while let Some((first, _)) = read.range(range.clone()).await?.first() {
        let Some(id) = parsed(first, key::account_of(first), findings) else {
            break;
        };
        let account_key = key::account(id);
        match read.get(&account_key).await? {
            Some(value) => {
                if let Some(row) = row_of(&account_key, &value, findings) {
                    accounts.insert(id, row);
                }
            }
            None => findings.push(format!("account {id}: has rows, but not its own")),
        }
        range.start = kv::key::successor(&key::all_of(id));
    }
    Ok(accounts)
}

/// The other direction: what is listed must be held.
async fn listed<R: Read>(
    read: &R,
    held: &BTreeMap<Address, row::Holder>,
    findings: &mut Vec<String>,
) -> kv::Result<()> {
    let lists = [
        (key::account_names(), row::Holder::Account),
        (key::aliases(), row::Holder::Alias),
        (key::groups(), row::Holder::Group),
    ];
    for (prefix, holder) in lists {
        let mut walk = Walk::new(read, &prefix);
        while let Some(pairs) = walk.next().await? {
            for (key, value) in pairs {
                match holder {
                    row::Holder::Account => {
                        row_of::<row::AccountName>(&key, &value, findings);
                    }
                    row::Holder::Alias => alias(&key, &value, findings),
                    // Groups are read where their members are counted.
                    row::Holder::Group | row::Holder::Unknown => {}
                }
                let address = parsed(&key, key::address_of(&key), findings);
                if let Some(address) = address.filter(|a| held.get(a) != Some(&holder)) {
                    findings.push(format!("{address}: listed as {holder:?}, not held as one"));
                }
            }
        }
    }
    Ok(())
}

fn alias(key: &[u8], value: &Bytes, findings: &mut Vec<String>) {
    let row = row_of::<row::Alias>(key, value, findings).unwrap_or_default();
    for target in row.targets {
        if Address::parse(&target).is_err() {
            let alias = kv::key::escape(key);
            findings.push(format!("alias {alias}: {target:?} is no address"));
        }
    }
}

async fn per_account<R: Read>(
    read: &R,
    domains: &BTreeMap<String, row::Domain>,
    accounts: &BTreeMap<AccountId, row::Account>,
    held: &BTreeMap<Address, row::Holder>,
    findings: &mut Vec<String>,
) -> kv::Result<()> {
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    for (id, row) in accounts {
        if row.state() == AccountState::Removing {
            let purge = read.get(&key::purge_account(*id)).await?;
            if purge.is_none() {
                findings.push(format!("account {id}: removed, but nothing purges it"));
            }
            continue;
        }
        *counts.entry(row.domain).or_default() += 1;
        let address = Address::parse(&row.address).ok();
        if address.and_then(|a| held.get(&a).copied()) != Some(row::Holder::Account) {
            findings.push(format!("account {id}: nothing leads to {}", row.address));
        }
        let credentials: Option<row::Credentials> =
            look_up(read, &key::credentials(*id), findings).await?;
        if credentials.is_none() {
            findings.push(format!("account {id}: has no credentials"));
        }
    }
    for (name, domain) in domains {
        let accounts = key::domain_accounts(DomainId(domain.id));
        let told = counter(read, &accounts, findings).await?;
        let counted = counts.remove(&domain.id).unwrap_or_default();
        if told != counted {
            findings.push(format!(
                "domain {name}: tells {told} accounts, has {counted}"
            ));
        }
    }
    for (domain, count) in counts {
        findings.push(format!("{count} accounts belong to no domain ({domain})"));
    }
    Ok(())
}

async fn groups<R: Read>(read: &R, findings: &mut Vec<String>) -> kv::Result<()> {
    let mut members: BTreeMap<Address, u32> = BTreeMap::new();
    let mut walk = Walk::new(read, &key::all_group_members());
    while let Some(pairs) = walk.next().await? {
        for (key, _) in pairs {
            if let Some(group) = parsed(&key, key::address_of(&key), findings) {
                *members.entry(group).or_default() += 1;
            }
        }
    }
    let mut walk = Walk::new(read, &key::groups());
    while let Some(pairs) = walk.next().await? {
        for (key, value) in pairs {
            let address = parsed(&key, key::address_of(&key), findings);
            let row = row_of::<row::Group>(&key, &value, findings);
            let (Some(address), Some(row)) = (address, row) else {
                continue;
            };
            list(&address, &row, findings);
            let counted = members.remove(&address).unwrap_or_default();
            if row.members != counted {
                let told = row.members;
                findings.push(format!(
                    "group {address}: tells {told} members, has {counted}"
                ));
            }
        }
    }
    for (group, count) in members {
        findings.push(format!("{count} members of {group}, which is no group"));
    }
    Ok(())
}

/// What only a list has, and who answers for it.
fn list(address: &Address, row: &row::Group, findings: &mut Vec<String>) {
    if !row.list && (row.owner.is_some() || row.unsubscribe) {
        findings.push(format!("group {address}: is no list, but set like one"));
    }
    if let Some(owner) = row.owner.as_deref().filter(|o| Address::parse(o).is_err()) {
        findings.push(format!(
            "group {address}: its owner {owner:?} is no address"
        ));
    }
}

/// The rows that there is one of: the last ids given out, the defaults.
async fn singles<R: Read>(
    read: &R,
    domains: &BTreeMap<String, row::Domain>,
    accounts: &BTreeMap<AccountId, row::Account>,
    findings: &mut Vec<String>,
) -> kv::Result<()> {
    let highest_domain = domains.values().map(|domain| domain.id).max();
    let highest_account = accounts.keys().map(|id| id.0).max();
    for (what, key, highest) in [
        ("domain", key::last_domain(), highest_domain),
        ("account", key::last_account(), highest_account),
    ] {
        let last: Option<row::Number> = look_up(read, &key, findings).await?;
        let last = last.unwrap_or_default().last;
        if let Some(highest) = highest.filter(|highest| *highest > last) {
            findings.push(format!(
                "{what} {highest}: its id was not given out, the last is {last}"
            ));
        }
    }
    look_up::<_, row::DefaultMailboxes>(read, &key::default_mailboxes(), findings).await?;
    Ok(())
}
