//! [`Demand`]: what is asked of the connection to an MX host, and the policy under
//! which its success or failure is reported (RFC 8460).

use postrider_meta::{TlsFailure, TlsFault, TlsPolicy, TlsPolicyKind, limit};
use postrider_relay::{Security, Tlsa};
use postrider_route::sts::{Mode, Policy, Problem, ProblemKind};
use postrider_route::{Dane, Host};
use postrider_types::DomainName;

use crate::plan::TlsWish;
use crate::trouble::Trouble;

/// A failure that is known before anything is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) policy: TlsPolicy,
    pub(crate) failure: TlsFailure,
}

/// What is asked of the connection to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) security: Security,
    /// The policy is being tested: where the host does not meet it, that is told,
    /// and the mail goes as it would without a policy (RFC 8461 §5).
    pub(crate) lenient: bool,
    /// Under which policy the connection counts; none where it does not.
    pub(crate) policy: Option<TlsPolicy>,
    /// What is wrong before it is tried.
    pub(crate) finding: Option<Finding>,
}

/// Who says that the hosts of a domain are its own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Vouched<'a> {
    /// Their names were validated by DNSSEC.
    pub(crate) by_dnssec: bool,
    /// The domain's policy by MTA-STS, unless its mode is none.
    pub(crate) by_policy: Option<&'a Policy>,
    /// There may be a policy, which could not be had.
    pub(crate) unsure: bool,
}

impl Vouched<'_> {
    /// RFC 8689 §4.2.1: a certificate proves nothing where anybody may have named the
    /// host.
    fn check(&self, host: &Host, domain: Option<&DomainName>) -> Result<(), Trouble> {
        let own = domain.is_none_or(|domain| domain.as_str() == host.name);
        let permits = |policy: &Policy| policy.permits(&host.name);
        if own || self.by_dnssec || self.by_policy.is_some_and(permits) {
            return Ok(());
        }
        let text = format!(
            "the sender requires TLS all the way, and neither DNSSEC nor a policy of the \
             domain (MTA-STS) vouches for the host {}",
            host.name
        );
        let class = if self.unsure { 4 } else { 5 };
        Err(Trouble::ours((class, 7, 10), text))
    }
}

/// A host that may not be used.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) trouble: Trouble,
    pub(crate) finding: Option<Box<Finding>>,
}

impl Demand {
    /// What `host` of `domain` is asked for; an address literal has no domain.
    pub(crate) fn of(
        host: &Host,
        domain: Option<&DomainName>,
        vouched: &Vouched<'_>,
        wish: TlsWish,
    ) -> Result<Self, Refused> {
        let policy = vouched.by_policy;
        // RFC 8689 §4.2.2: neither the policy nor DANE counts. Such mail is not
        // reported either: a report would bring forth reports.
        if wish == TlsWish::Waived {
            return Ok(Self {
                policy: None,
                ..Self::new(Security::Opportunistic, no_policy())
            });
        }
        let enforced = policy.filter(|policy| policy.mode == Mode::Enforce);
        let stranger = policy.filter(|policy| !policy.permits(&host.name));
        let finding = stranger.map(|policy| {
            let text = "the policy does not name the host";
            finding(sts(policy), TlsFault::ValidationFailure, Some(host), text)
        });
        // RFC 8461 §4.1: a host that the policy does not name may be anybody's.
        if enforced.is_some() && stranger.is_some() {
            let text = format!(
                "the domain's MTA-STS policy does not name the host {}",
                host.name
            );
            let trouble = Trouble::ours((4, 7, 5), text);
            let finding = finding.map(Box::new);
            return Err(Refused { trouble, finding });
        }
        if wish == TlsWish::Required {
            vouched.check(host, domain).map_err(|trouble| Refused {
                trouble,
                finding: None,
            })?;
        }
        let demand = Self::by_dane(host, policy.filter(|_| stranger.is_none()), wish)?;
        Ok(match finding {
            // The connection is counted as the failure that it already is.
            Some(finding) => Self {
                policy: None,
                finding: Some(finding),
                ..demand
            },
            None => demand,
        })
    }

    fn by_dane(host: &Host, policy: Option<&Policy>, wish: TlsWish) -> Result<Self, Refused> {
        let required = wish == TlsWish::Required;
        let enforced = policy.is_some_and(|policy| policy.mode == Mode::Enforce);
        let verified = Security::Verified {
            names: vec![host.name.clone()],
        };
        match &host.dane {
            Dane::Records { records, names } => {
                let strings = records.iter().map(presented).collect();
                let records = records.iter().map(|record| Tlsa {
                    usage: record.usage,
                    selector: record.selector,
                    matching: record.matching,
                    data: record.data.clone(),
                });
                let security = Security::Dane {
                    records: records.collect(),
                    names: names.clone(),
                };
                Ok(Self::new(security, tlsa(strings)))
            }
            // RFC 7672 §2.2: the zone says that there is TLS, and not with which
            // certificate.
            Dane::Unusable if !required && !enforced => {
                let text = "none of the TLSA records can be used";
                let fault = TlsFault::TlsaInvalid;
                let policy = tlsa(Vec::new());
                Ok(Self {
                    policy: None,
                    finding: Some(finding(policy.clone(), fault, Some(host), text)),
                    ..Self::new(Security::Encrypted, policy)
                })
            }
            // RFC 7672 §2.1.2: an answer that may have been taken away is no answer.
            Dane::Failed(text) => {
                let fault = TlsFault::DnssecInvalid;
                let found = finding(tlsa(Vec::new()), fault, Some(host), text);
                Err(Refused {
                    finding: Some(Box::new(found)),
                    trouble: Trouble::ours(
                        (4, 7, 5),
                        format!("the TLSA records of {} cannot be had: {text}", host.name),
                    ),
                })
            }
            Dane::None | Dane::Unusable => Ok(match policy {
                Some(policy) => Self {
                    lenient: !enforced && !required,
                    ..Self::new(verified, sts(policy))
                },
                None if required => Self::new(verified, no_policy()),
                // More than the domain asks for: it is not told where that is not met.
                None if wish == TlsWish::Preferred => Self {
                    lenient: true,
                    policy: None,
                    ..Self::new(verified, no_policy())
                },
                None => Self::new(Security::Opportunistic, no_policy()),
            }),
        }
    }

    fn new(security: Security, policy: TlsPolicy) -> Self {
        Self {
            security,
            lenient: false,
            policy: Some(policy),
            finding: None,
        }
    }
}

impl Finding {
    /// That the policy of a domain is not to be had.
    pub(crate) fn no_policy(problem: &Problem) -> Self {
        let fault = match problem.kind {
            ProblemKind::Fetch => TlsFault::StsPolicyFetchError,
            ProblemKind::Certificate => TlsFault::StsWebpkiInvalid,
            ProblemKind::Invalid => TlsFault::StsPolicyInvalid,
        };
        let policy = TlsPolicy {
            kind: TlsPolicyKind::Sts,
            strings: Vec::new(),
            hosts: Vec::new(),
        };
        finding(policy, fault, None, &problem.text)
    }
}

fn finding(policy: TlsPolicy, fault: TlsFault, host: Option<&Host>, reason: &str) -> Finding {
    let failure = TlsFailure {
        fault,
        sending_ip: None,
        host: host.map(|host| host.name.clone()),
        receiving_ip: None,
        reason: Some(reason.to_owned()),
    };
    Finding { policy, failure }
}

fn no_policy() -> TlsPolicy {
    TlsPolicy {
        kind: TlsPolicyKind::None,
        strings: Vec::new(),
        hosts: Vec::new(),
    }
}

fn tlsa(mut strings: Vec<String>) -> TlsPolicy {
    // A whole certificate instead of its hash would fill the report.
    strings.retain(|text| text.len() <= limit::TLS_STRING);
    strings.truncate(limit::TLS_STRINGS);
    TlsPolicy {
        kind: TlsPolicyKind::Tlsa,
        strings,
        hosts: Vec::new(),
    }
}

/// A policy by its lines, as its domain publishes it.
fn sts(policy: &Policy) -> TlsPolicy {
    let mode = match policy.mode {
        Mode::Enforce => "enforce",
        Mode::Testing => "testing",
        Mode::None => "none",
    };
    let hosts: Vec<String> = policy.mx.iter().map(ToString::to_string).collect();
    let mut strings = vec!["version: STSv1".to_owned(), format!("mode: {mode}")];
    // What stands before and behind the hosts has room in any case.
    let room = limit::TLS_STRINGS - 3;
    strings.extend(hosts.iter().take(room).map(|host| format!("mx: {host}")));
    strings.push(format!("max_age: {}", policy.max_age));
    TlsPolicy {
        kind: TlsPolicyKind::Sts,
        strings,
        hosts: hosts.into_iter().take(limit::TLS_STRINGS).collect(),
    }
}

/// A record as zone files write it.
fn presented(record: &postrider_route::Tlsa) -> String {
    let data: String = record.data.iter().map(|b| format!("{b:02x}")).collect();
    format!(
        "{} {} {} {data}",
        record.usage, record.selector, record.matching
    )
}

#[cfg(test)]
mod tests {
    use postrider_types::EnhancedStatus;

    use super::*;

    fn domain() -> DomainName {
        DomainName::parse("test").unwrap()
    }

    fn host(dane: Dane) -> Host {
        Host {
            name: "mx.test".into(),
            preference: 0,
            addresses: Vec::new(),
            dane,
        }
    }

    fn verified() -> Security {
        Security::Verified {
            names: vec!["mx.test".into()],
        }
    }

    fn policy(mode: &str, mx: &str) -> Policy {
        let text = format!("version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 60\n");
        Policy::parse(&text).unwrap()
    }

    #[test]
    fn a_sender_demands_tls_or_waives_it() {
        let signed = Vouched {
            by_dnssec: true,
            ..Vouched::default()
        };
        let of = |dane, wish| Demand::of(&host(dane), Some(&domain()), &signed, wish);
        let security = |dane, wish| of(dane, wish).map(|it| it.security);
        let required = security(Dane::None, TlsWish::Required);
        assert_eq!(required.unwrap(), verified());
        let usual = security(Dane::None, TlsWish::Usual);
        assert_eq!(usual.unwrap(), Security::Opportunistic);
        let failed = || Dane::Failed("cut".into());
        assert!(security(failed(), TlsWish::Usual).is_err());
        let preferred = of(Dane::None, TlsWish::Preferred).unwrap();
        assert_eq!((preferred.security, preferred.lenient), (verified(), true));
        let waived = of(failed(), TlsWish::Waived).unwrap();
        assert_eq!(waived.security, Security::Opportunistic);
        assert_eq!(waived.policy, None);
    }

    #[test]
    fn who_requires_tls_gets_only_to_hosts_that_somebody_vouches_for() {
        let named = policy("testing", "mx.test");
        let strange = policy("testing", "other.test");
        let by_dnssec = Vouched {
            by_dnssec: true,
            ..Vouched::default()
        };
        let by = |policy| Vouched {
            by_policy: Some(policy),
            ..Vouched::default()
        };
        let unsure = Vouched {
            unsure: true,
            ..Vouched::default()
        };
        for (vouched, class) in [
            (by_dnssec, None),
            (by(&named), None),
            (by(&strange), Some(5)),
            (Vouched::default(), Some(5)),
            (unsure, Some(4)),
        ] {
            let host = host(Dane::None);
            let of = |domain: Option<&DomainName>, wish| Demand::of(&host, domain, &vouched, wish);
            let domain = domain();
            let found = of(Some(&domain), TlsWish::Required).err();
            let status = found.map(|refused| refused.trouble.status);
            let wanted = class.map(|class| EnhancedStatus(class, 7, 10));
            assert_eq!(status, wanted, "{vouched:?}");
            assert!(of(Some(&domain), TlsWish::Preferred).is_ok());
            // The domain itself, and an address, were named by the sender.
            let itself = DomainName::parse("mx.test").unwrap();
            assert!(of(Some(&itself), TlsWish::Required).is_ok());
            assert!(of(None, TlsWish::Required).is_ok());
        }
    }

    #[test]
    fn a_policy_that_is_tested_hinders_nothing_and_is_reported() {
        let of = |mode, mx| {
            let vouched = Vouched {
                by_policy: Some(&policy(mode, mx)),
                ..Vouched::default()
            };
            Demand::of(&host(Dane::None), Some(&domain()), &vouched, TlsWish::Usual)
        };
        let enforced = of("enforce", "mx.test").unwrap();
        assert_eq!(enforced.security, verified());
        assert!(!enforced.lenient);
        let tested = of("testing", "mx.test").unwrap();
        assert_eq!(tested.security, verified());
        assert!(tested.lenient);
        let lines = tested.policy.unwrap().strings;
        let expected = [
            "version: STSv1",
            "mode: testing",
            "mx: mx.test",
            "max_age: 60",
        ];
        assert_eq!(lines, expected);
        let stranger = of("testing", "other.test").unwrap();
        assert_eq!(stranger.security, Security::Opportunistic);
        let fault = stranger.finding.unwrap().failure.fault;
        assert_eq!(fault, TlsFault::ValidationFailure);
        assert!(of("enforce", "other.test").unwrap_err().finding.is_some());
    }
}
