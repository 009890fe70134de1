//! The values of reports about TLS.

use std::net::IpAddr;

use postrider_meta as meta;
use serde::{Deserialize, Serialize};

use crate::date;

/// What is to be reported about a domain's day. Other nodes' results of the last
/// minute may be missing.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TlsResults {
    /// `YYYY-MM-DD` in UTC.
    pub(crate) day: String,
    pub(crate) domain: String,
    /// The places that have the report already.
    pub(crate) sent: Vec<String>,
    pub(crate) policies: Vec<TlsPolicy>,
}

/// The results under one policy, as RFC 8460 §4 names them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TlsPolicy {
    /// `sts`, `tlsa` or `no-policy-found`.
    pub(crate) policy: String,
    /// Its text.
    pub(crate) strings: Vec<String>,
    /// The hosts that it names.
    pub(crate) hosts: Vec<String>,
    pub(crate) successes: u64,
    /// Those without details included.
    pub(crate) failures: u64,
    pub(crate) details: Vec<TlsFailure>,
}

/// Failures of one kind.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TlsFailure {
    /// Such as `starttls-not-supported`.
    pub(crate) result: String,
    pub(crate) count: u64,
    pub(crate) sending_ip: Option<IpAddr>,
    pub(crate) host: Option<String>,
    pub(crate) receiving_ip: Option<IpAddr>,
    pub(crate) reason: Option<String>,
}

/// `POST /v1/tls-reports/send`
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SendTlsReports {
    /// `YYYY-MM-DD` in UTC, or `today`: what was counted so far. Absent: all days
    /// that are over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) day: Option<String>,
    /// Go on where a former answer's `next` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
}

/// The answer to it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SentTlsReports {
    /// Days of domains whose report is on its way.
    pub(crate) sent: u64,
    /// Those whose report is tried again later; the node's log says why.
    pub(crate) kept: u64,
    /// There is more to do: ask the same again with this as `after`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) next: Option<String>,
}

impl From<meta::TlsResults> for TlsResults {
    fn from(results: meta::TlsResults) -> Self {
        let begin = u64::from(results.day) * date::DAY;
        Self {
            day: date::format(postrider_types::Millis(begin)),
            domain: results.domain.to_string(),
            sent: results.sent,
            policies: results.policies.into_iter().map(TlsPolicy::from).collect(),
        }
    }
}

impl From<meta::TlsPolicyResults> for TlsPolicy {
    fn from(results: meta::TlsPolicyResults) -> Self {
        let policy = results.policy;
        Self {
            policy: policy.kind.name().into(),
            strings: policy.strings,
            hosts: policy.hosts,
            successes: results.successes,
            failures: results.failures,
            details: results.details.into_iter().map(TlsFailure::from).collect(),
        }
    }
}

impl From<(meta::TlsFailure, u64)> for TlsFailure {
    fn from((failure, count): (meta::TlsFailure, u64)) -> Self {
        Self {
            result: failure.fault.name().into(),
            count,
            sending_ip: failure.sending_ip,
            host: failure.host,
            receiving_ip: failure.receiving_ip,
            reason: failure.reason,
        }
    }
}
