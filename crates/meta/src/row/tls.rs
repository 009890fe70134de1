//! Rows of the results of outgoing TLS.

use bytes::Bytes;
use postrider_types::DomainName;

use crate::view;

/// The results of a day for a domain.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TlsResults {
    /// The id of the command that began them, 16 bytes: names their report.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) id: Bytes,
    /// How often they were changed: the fence.
    #[prost(uint64, tag = "2")]
    pub(crate) revision: u64,
    /// By policy; never empty.
    #[prost(message, repeated, tag = "3")]
    pub(crate) policies: Vec<TlsPolicy>,
    /// The places that have their report.
    #[prost(string, repeated, tag = "4")]
    pub(crate) sent: Vec<String>,
}

/// The results under one policy.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TlsPolicy {
    /// 0 none, 1 MTA-STS, 2 DANE.
    #[prost(uint32, tag = "1")]
    pub(crate) kind: u32,
    /// Its text.
    #[prost(string, repeated, tag = "2")]
    pub(crate) strings: Vec<String>,
    /// The hosts that it names.
    #[prost(string, repeated, tag = "3")]
    pub(crate) hosts: Vec<String>,
    /// Connections that were as secure as it asks.
    #[prost(uint64, tag = "4")]
    pub(crate) successes: u64,
    /// Those that were not, with and without details.
    #[prost(uint64, tag = "5")]
    pub(crate) failures: u64,
    /// Details of failures.
    #[prost(message, repeated, tag = "6")]
    pub(crate) details: Vec<TlsDetail>,
}

/// Failures of one kind.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TlsDetail {
    /// What went wrong: a place in [`view::TlsFault::ALL`].
    #[prost(uint32, tag = "1")]
    pub(crate) fault: u32,
    /// Our address.
    #[prost(string, optional, tag = "2")]
    pub(crate) sending_ip: Option<String>,
    /// The host.
    #[prost(string, optional, tag = "3")]
    pub(crate) host: Option<String>,
    /// Its address.
    #[prost(string, optional, tag = "4")]
    pub(crate) receiving_ip: Option<String>,
    /// The cause in words.
    #[prost(string, optional, tag = "5")]
    pub(crate) reason: Option<String>,
    /// How many.
    #[prost(uint64, tag = "6")]
    pub(crate) count: u64,
}

impl TlsPolicy {
    /// A policy without results.
    pub(crate) fn new(policy: view::TlsPolicy) -> Self {
        Self {
            kind: match policy.kind {
                view::TlsPolicyKind::None => 0,
                view::TlsPolicyKind::Sts => 1,
                view::TlsPolicyKind::Tlsa => 2,
            },
            strings: policy.strings,
            hosts: policy.hosts,
            ..Self::default()
        }
    }

    /// Whether the results of both go together.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.kind, &self.strings, &self.hosts) == (other.kind, &other.strings, &other.hosts)
    }

    fn view(self) -> view::TlsPolicyResults {
        let kind = match self.kind {
            1 => view::TlsPolicyKind::Sts,
            2 => view::TlsPolicyKind::Tlsa,
            _ => view::TlsPolicyKind::None,
        };
        view::TlsPolicyResults {
            policy: view::TlsPolicy {
                kind,
                strings: self.strings,
                hosts: self.hosts,
            },
            successes: self.successes,
            failures: self.failures,
            details: self.details.into_iter().map(TlsDetail::view).collect(),
        }
    }
}

impl TlsDetail {
    /// Failures of which none was counted yet.
    pub(crate) fn new(failure: view::TlsFailure) -> Self {
        let mut faults = view::TlsFault::ALL.iter();
        let place = faults.position(|fault| *fault == failure.fault);
        Self {
            fault: place
                .and_then(|place| u32::try_from(place).ok())
                .unwrap_or(0),
            sending_ip: failure.sending_ip.map(|ip| ip.to_string()),
            host: failure.host,
            receiving_ip: failure.receiving_ip.map(|ip| ip.to_string()),
            reason: failure.reason,
            count: 0,
        }
    }

    /// Whether both tell of the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let other = Self {
            count: self.count,
            ..other.clone()
        };
        *self == other
    }

    fn view(self) -> (view::TlsFailure, u64) {
        let fault = view::TlsFault::ALL.get(self.fault as usize).copied();
        let failure = view::TlsFailure {
            // A later program may know more kinds.
            fault: fault.unwrap_or(view::TlsFault::ValidationFailure),
            sending_ip: self.sending_ip.and_then(|ip| ip.parse().ok()),
            host: self.host,
            receiving_ip: self.receiving_ip.and_then(|ip| ip.parse().ok()),
            reason: self.reason,
        };
        (failure, self.count)
    }
}

impl TlsResults {
    /// The results as queries show them.
    pub(crate) fn view(self, day: u32, domain: DomainName) -> view::TlsResults {
        view::TlsResults {
            day,
            domain,
            id: self.id.iter().map(|byte| format!("{byte:02x}")).collect(),
            revision: self.revision,
            sent: self.sent,
            policies: self.policies.into_iter().map(TlsPolicy::view).collect(),
        }
    }
}
