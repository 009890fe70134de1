//! Keys of what is known about outside domains: policies and results of TLS. What lies under them stands in [`super`].

use postrider_kv::key::Parts;
use postrider_types::{DomainName, Millis};

use super::global;

pub(crate) fn policies() -> Vec<u8> {
    global(b'P').build()
}

pub(crate) fn policy(domain: &DomainName) -> Vec<u8> {
    global(b'P').str(domain.as_str()).build()
}

/// All policies, the first to end first.
pub(crate) fn policy_ends() -> Vec<u8> {
    global(b't').build()
}

/// The end (excluded) of the policies that end up to `moment`.
pub(crate) fn policies_after(moment: Millis) -> Vec<u8> {
    global(b't').u64(moment.0.saturating_add(1)).build()
}

pub(crate) fn policy_end(expires: u64, domain: &DomainName) -> Vec<u8> {
    global(b't').u64(expires).str(domain.as_str()).build()
}

/// The domain in a key of [`policy_end`].
pub(crate) fn policy_end_of(key: &[u8]) -> Option<DomainName> {
    let mut parts = Parts::of(key.get(2..)?);
    parts.u64()?;
    DomainName::parse(&parts.str()?).ok()
}

/// The results of outgoing TLS, the oldest day first.
pub(crate) fn all_tls_results() -> Vec<u8> {
    global(b'r').build()
}

/// Where the results of `day` and of later days begin.
pub(crate) fn tls_results_from(day: u32) -> Vec<u8> {
    global(b'r').u32(day).build()
}

pub(crate) fn tls_results(day: u32, domain: &DomainName) -> Vec<u8> {
    global(b'r').u32(day).str(domain.as_str()).build()
}

/// The day and the domain in a key of [`tls_results`].
pub(crate) fn tls_results_of(key: &[u8]) -> Option<(u32, DomainName)> {
    let mut parts = Parts::of(key.get(2..)?);
    Some((parts.u32()?, DomainName::parse(&parts.str()?).ok()?))
}
