//! The addresses of a host, in the order to try.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_resolver::proto::rr::{Name, RData, RecordType};

use crate::dns::{Answer, Denial, Dns, Failure, Found};
use crate::settings::Family;

/// The most addresses of one host.
const MAX_ADDRESSES: usize = 20;

/// What is known about where a host is.
pub(crate) enum Addresses {
    /// At least one address.
    Known(Known),
    /// The host has no address of a wanted family.
    None(Denial),
}

/// The addresses of a host, and how the host's name led to them.
pub(crate) struct Known {
    /// In the order to try.
    pub(crate) addresses: Vec<IpAddr>,
    /// The name that has them.
    pub(crate) owner: Name,
    /// All of them and the aliases were validated.
    pub(crate) secure: bool,
    /// The host's name is an alias, and this much was validated.
    pub(crate) alias_secure: bool,
}

/// Looks up the addresses of `host`.
pub(crate) async fn addresses(
    dns: &Dns,
    family: Family,
    host: &Name,
) -> Result<Addresses, Failure> {
    if host.is_localhost() {
        // RFC 6761 §6.3: never asked for.
        return Ok(Addresses::Known(loopback(family, host)));
    }
    match family {
        Family::Ipv4Only => gather([dns.lookup(host, RecordType::A).await], host),
        Family::Ipv6Only => gather([dns.lookup(host, RecordType::AAAA).await], host),
        Family::Ipv4First => {
            let (v4, v6) = tokio::join!(
                dns.lookup(host, RecordType::A),
                dns.lookup(host, RecordType::AAAA)
            );
            gather([v4, v6], host)
        }
        Family::Ipv6First => {
            let (v6, v4) = tokio::join!(
                dns.lookup(host, RecordType::AAAA),
                dns.lookup(host, RecordType::A)
            );
            gather([v6, v4], host)
        }
    }
}

/// Brings together what was found, in turn from each lookup. One that failed
/// matters only where no other has an address.
fn gather<const N: usize>(
    found: [Result<Found, Failure>; N],
    host: &Name,
) -> Result<Addresses, Failure> {
    let mut answers: Vec<Answer> = Vec::new();
    let mut denial: Option<Denial> = None;
    let mut failure = None;
    for found in found {
        match found {
            Ok(Found::Records(answer)) => answers.push(answer),
            Ok(Found::Nothing(new)) => denial = denial.or(Some(new)),
            Err(new) => failure = failure.or(Some(new)),
        }
    }
    let lists: Vec<Vec<IpAddr>> = answers.iter().map(usable).collect();
    let longest = lists.iter().map(Vec::len).max().unwrap_or_default();
    let in_turn = (0..longest).flat_map(|i| lists.iter().filter_map(move |l| l.get(i)));
    let addresses: Vec<IpAddr> = in_turn.copied().take(MAX_ADDRESSES).collect();
    match (answers.first(), failure, denial) {
        (Some(first), ..) if !addresses.is_empty() => Ok(Addresses::Known(Known {
            addresses,
            owner: first.owner.clone(),
            secure: answers.iter().all(|a| a.secure && a.owner == first.owner),
            alias_secure: answers.iter().all(|a| a.alias_secure),
        })),
        (_, Some(failure), _) => Err(failure),
        (_, None, Some(denial)) => Ok(Addresses::None(denial)),
        (_, None, None) => Ok(Addresses::None(Denial::unproven(host))),
    }
}

/// The addresses to which a connection can lead.
fn usable(answer: &Answer) -> Vec<IpAddr> {
    let address = |data: &RData| match data {
        RData::A(v4) => Some(IpAddr::V4(v4.0)),
        RData::AAAA(v6) => Some(IpAddr::V6(v6.0)),
        _ => None,
    };
    let unusable = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unspecified(),
    };
    let all = answer.records.iter().filter_map(|r| address(&r.data));
    all.filter(|ip| !unusable(ip)).collect()
}

fn loopback(family: Family, host: &Name) -> Known {
    let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    Known {
        addresses: match family {
            Family::Ipv4First => vec![v4, v6],
            Family::Ipv6First => vec![v6, v4],
            Family::Ipv4Only => vec![v4],
            Family::Ipv6Only => vec![v6],
        },
        owner: host.clone(),
        secure: false,
        alias_secure: false,
    }
}
