//! What a host's TLSA records demand of its certificate (RFC 7672).

use hickory_resolver::proto::rr::{Name, RData, RecordType};

use crate::address::Known;
use crate::dns::{self, Answer, Dns, Failure, Found};

/// What DANE says about a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dane {
    /// Nothing: the host has no records, or DNSSEC does not vouch for its name,
    /// or validation is turned off.
    None,
    /// The certificate must match one of the records.
    Records {
        /// Those that a mail client can use (RFC 7672 §3.1): never none.
        records: Vec<Tlsa>,
        /// The names one of which a certificate must have that matches by a
        /// record of usage 2 (RFC 7672 §3.2.2): in lower case, the name of the
        /// records first.
        names: Vec<String>,
    },
    /// There are records, and none of them can be used: mail may only go through
    /// TLS, with any certificate (RFC 7672 §2.2).
    Unusable,
    /// Whether there are records could not be found out: no mail may go to this
    /// host now (RFC 7672 §2.1.2). The text says why.
    Failed(String),
}

/// A TLSA record (RFC 6698 §2.1) that a mail client can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlsa {
    /// 2: a certificate above the server's; 3: the server's own.
    pub usage: u8,
    /// 0: the whole certificate; 1: its public key.
    pub selector: u8,
    /// How `data` was made: 0: as it is; 1: SHA-256; 2: SHA-512.
    pub matching: u8,
    /// What to match.
    pub data: Vec<u8>,
}

impl Tlsa {
    /// Whether a mail client can use it.
    fn is_usable(&self) -> bool {
        let fits = match self.matching {
            0 => !self.data.is_empty(),
            1 => self.data.len() == 32,
            2 => self.data.len() == 64,
            _ => false,
        };
        // RFC 7672 §3.1.3: usages 0 and 1 rest on authorities that mail servers
        // do not agree upon.
        matches!(self.usage, 2 | 3) && self.selector <= 1 && fits
    }
}

/// Looks up what DANE says about `host`, found at `known`, on `port`. `next_hop`
/// are the names of which `host` is the server: the domain, and what the domain
/// is an alias of.
pub(crate) async fn dane(
    dns: &Dns,
    host: &Name,
    known: &Known,
    port: u16,
    next_hop: &[String],
) -> Dane {
    for base in bases(host, known) {
        match records_at(dns, base, port).await {
            Ok(None) => {}
            Ok(Some(answer)) => return demand(&answer, base, next_hop),
            Err(Failure(text)) => return Dane::Failed(text),
        }
    }
    Dane::None
}

/// The names that may have the records, in the order to ask. None of them lies in
/// an unsigned zone: there is nothing to gain, and name servers of such zones may
/// fail for TLSA.
fn bases<'a>(host: &'a Name, known: &'a Known) -> Vec<&'a Name> {
    // RFC 7672 §2.2.2, RFC 7671 §7: what the host is an alias of, then its own
    // name; that alone where the aliases lead out of the signed zones.
    match (known.secure, known.alias_secure) {
        (true, _) if known.owner == *host => vec![host],
        (true, _) => vec![&known.owner, host],
        (false, true) => vec![host],
        (false, false) => vec![],
    }
}

/// The validated records at `base`; none where they are shown not to exist, or
/// where an unsigned zone begins below `base`.
async fn records_at(dns: &Dns, base: &Name, port: u16) -> Result<Option<Answer>, Failure> {
    // RFC 6698 §3.
    let name = dns::name(&format!("_{port}._tcp.{}", base.to_ascii()))?;
    match dns.lookup(&name, RecordType::TLSA).await? {
        Found::Records(answer) => Ok(answer.secure.then_some(answer)),
        Found::Nothing(denial) if denial.holds_beside(base) => Ok(None),
        Found::Nothing(_) => Err(Failure(format!(
            "the answer that {} has no TLSA records is not signed, although its zone is",
            dns::display(&name)
        ))),
    }
}

fn demand(answer: &Answer, base: &Name, next_hop: &[String]) -> Dane {
    let tlsa = |data: &RData| match data {
        RData::TLSA(tlsa) => Some(Tlsa {
            usage: tlsa.cert_usage.into(),
            selector: tlsa.selector.into(),
            matching: tlsa.matching.into(),
            data: tlsa.cert_data.clone(),
        }),
        _ => None,
    };
    let all = answer.records.iter().filter_map(|r| tlsa(&r.data));
    let records: Vec<Tlsa> = all.filter(Tlsa::is_usable).collect();
    if records.is_empty() {
        return Dane::Unusable;
    }
    let mut names = vec![dns::display(base)];
    for name in next_hop {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Dane::Records { records, names }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_that_a_mail_client_can_check_are_usable() {
        let tlsa = |usage, selector, matching, length| Tlsa {
            usage,
            selector,
            matching,
            data: vec![1; length],
        };
        for good in [
            tlsa(3, 1, 1, 32),
            tlsa(2, 0, 2, 64),
            tlsa(3, 0, 0, 700),
            tlsa(2, 1, 0, 90),
        ] {
            assert!(good.is_usable(), "{good:?}");
        }
        for bad in [
            tlsa(0, 1, 1, 32),
            tlsa(1, 1, 1, 32),
            tlsa(255, 1, 1, 32),
            tlsa(3, 2, 1, 32),
            tlsa(3, 1, 3, 32),
            tlsa(3, 1, 1, 31),
            tlsa(3, 1, 2, 32),
            tlsa(3, 1, 0, 0),
        ] {
            assert!(!bad.is_usable(), "{bad:?}");
        }
    }
}
