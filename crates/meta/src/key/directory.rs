//! Keys of domains, addresses, groups and what domains sign with. What lies under them stands in [`super`].

use postrider_kv::key::Parts;
use postrider_types::{Address, DomainId, DomainName};

use super::{address_key, global};

pub(crate) fn domains() -> Vec<u8> {
    global(b'D').build()
}

pub(crate) fn domain(name: &DomainName) -> Vec<u8> {
    global(b'D').str(name.as_str()).build()
}

/// The name in a key of [`domain`], [`policy`] or [`dkim_keys`].
pub(crate) fn domain_of(key: &[u8]) -> Option<DomainName> {
    DomainName::parse(&Parts::of(key.get(2..)?).str()?).ok()
}

/// Counter: the domain's accounts.
pub(crate) fn domain_accounts(id: DomainId) -> Vec<u8> {
    global(b'd').u64(id.0).build()
}

/// All addresses.
pub(crate) fn names() -> Vec<u8> {
    global(b'N').build()
}

/// All addresses of a domain.
pub(crate) fn names_of(domain: &DomainName) -> Vec<u8> {
    global(b'N').str(domain.as_str()).build()
}

pub(crate) fn name(address: &Address) -> Vec<u8> {
    address_key(b'N', address).build()
}

/// All accounts by address.
pub(crate) fn account_names() -> Vec<u8> {
    global(b'A').build()
}

/// A domain's accounts by address.
pub(crate) fn account_names_of(domain: &DomainName) -> Vec<u8> {
    global(b'A').str(domain.as_str()).build()
}

pub(crate) fn account_name(address: &Address) -> Vec<u8> {
    address_key(b'A', address).build()
}

pub(crate) fn aliases() -> Vec<u8> {
    global(b'L').build()
}

pub(crate) fn alias(address: &Address) -> Vec<u8> {
    address_key(b'L', address).build()
}

pub(crate) fn groups() -> Vec<u8> {
    global(b'G').build()
}

pub(crate) fn group(address: &Address) -> Vec<u8> {
    address_key(b'G', address).build()
}

/// All members of all groups.
pub(crate) fn all_group_members() -> Vec<u8> {
    global(b'm').build()
}

/// All members of a group.
pub(crate) fn group_members(group: &Address) -> Vec<u8> {
    address_key(b'm', group).build()
}

pub(crate) fn group_member(group: &Address, member: &Address) -> Vec<u8> {
    address_key(b'm', group).str(&member.to_string()).build()
}

/// All members of a group whose addresses begin with `start`.
pub(crate) fn group_members_from(group: &Address, start: &str) -> Vec<u8> {
    address_key(b'm', group).str_prefix(start).build()
}

/// The member in a key of [`group_members`].
pub(crate) fn member_of(key: &[u8]) -> Option<String> {
    let mut parts = Parts::of(key.get(2..)?);
    parts.str()?;
    parts.str()?;
    parts.str()
}

/// The address in a key of a table by domain name and local part.
pub(crate) fn address_of(key: &[u8]) -> Option<Address> {
    let mut parts = Parts::of(key.get(2..)?);
    let domain = DomainName::parse(&parts.str()?).ok()?;
    Address::new(&parts.str()?, domain).ok()
}

pub(crate) fn default_mailboxes() -> Vec<u8> {
    global(b'f').build()
}

/// The last [`DomainId`] given out.
pub(crate) fn last_domain() -> Vec<u8> {
    global(b'n').u8(b'd').build()
}

/// The last [`AccountId`] given out.
pub(crate) fn last_account() -> Vec<u8> {
    global(b'n').u8(b'a').build()
}

/// The keys of all domains that sign.
pub(crate) fn all_dkim_keys() -> Vec<u8> {
    global(b'E').build()
}

pub(crate) fn dkim_keys(domain: &DomainName) -> Vec<u8> {
    global(b'E').str(domain.as_str()).build()
}
