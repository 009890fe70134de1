//! What is known of the TLS of outgoing connections (RFC 8460): counted by day
//! (UTC), domain, policy and failure.

use std::net::IpAddr;

use postrider_types::DomainName;
use serde::{Deserialize, Serialize};

/// Which kind of policy a connection was under (RFC 8460 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TlsPolicyKind {
    /// None.
    None,
    /// MTA-STS.
    Sts,
    /// DANE.
    Tlsa,
}

impl TlsPolicyKind {
    /// As reports name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "no-policy-found",
            Self::Sts => "sts",
            Self::Tlsa => "tlsa",
        }
    }
}

/// The policy that a connection was under.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TlsPolicy {
    /// Its kind.
    pub kind: TlsPolicyKind,
    /// Its text by lines, or its TLSA records: up to 32 of up to 512 bytes.
    pub strings: Vec<String>,
    /// The hosts that it names, up to 32 of up to 255 bytes.
    pub hosts: Vec<String>,
}

/// What went wrong (RFC 8460 §4.3). Nobody can require DANE of a domain that has
/// none, so that `dane-required` does not occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TlsFault {
    /// The host offers no STARTTLS.
    StartTlsNotSupported,
    /// Its certificate is for other names.
    CertificateHostMismatch,
    /// Its certificate has run out.
    CertificateExpired,
    /// Its certificate leads to no trusted authority.
    CertificateNotTrusted,
    /// Anything else.
    ValidationFailure,
    /// None of its TLSA records can be used.
    TlsaInvalid,
    /// Whether it has TLSA records could not be found out.
    DnssecInvalid,
    /// The MTA-STS policy could not be fetched.
    StsPolicyFetchError,
    /// What was fetched is no policy.
    StsPolicyInvalid,
    /// The certificate of the policy server is not valid.
    StsWebpkiInvalid,
}

impl TlsFault {
    /// All of them; rows hold the place in this list, so that it only grows.
    pub(crate) const ALL: [Self; 10] = [
        Self::StartTlsNotSupported,
        Self::CertificateHostMismatch,
        Self::CertificateExpired,
        Self::CertificateNotTrusted,
        Self::ValidationFailure,
        Self::TlsaInvalid,
        Self::DnssecInvalid,
        Self::StsPolicyFetchError,
        Self::StsPolicyInvalid,
        Self::StsWebpkiInvalid,
    ];

    /// As reports name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::StartTlsNotSupported => "starttls-not-supported",
            Self::CertificateHostMismatch => "certificate-host-mismatch",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateNotTrusted => "certificate-not-trusted",
            Self::ValidationFailure => "validation-failure",
            Self::TlsaInvalid => "tlsa-invalid",
            Self::DnssecInvalid => "dnssec-invalid",
            Self::StsPolicyFetchError => "sts-policy-fetch-error",
            Self::StsPolicyInvalid => "sts-policy-invalid",
            Self::StsWebpkiInvalid => "sts-webpki-invalid",
        }
    }
}

/// A failure with its circumstances.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TlsFailure {
    /// What went wrong.
    pub fault: TlsFault,
    /// Our address.
    pub sending_ip: Option<IpAddr>,
    /// The host, up to 255 bytes.
    pub host: Option<String>,
    /// Its address.
    pub receiving_ip: Option<IpAddr>,
    /// The cause in words. What is longer than 255 bytes is cut.
    pub reason: Option<String>,
}

/// Results that are added to those of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsRecord {
    /// Days since 1970-01-01, UTC.
    pub day: u32,
    /// The domain that the mail went to.
    pub domain: DomainName,
    /// The policy that the connections were under.
    pub policy: TlsPolicy,
    /// Connections that were as secure as the policy asks.
    pub successes: u64,
    /// Those that were not, by failure: up to 100.
    pub failures: Vec<(TlsFailure, u64)>,
}

/// The results of a day for a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsResults {
    /// Days since 1970-01-01, UTC.
    pub day: u32,
    /// The domain.
    pub domain: DomainName,
    /// Names the results: the same until they are settled. 16 bytes in hexadecimal.
    pub id: String,
    /// How often they were changed.
    pub revision: u64,
    /// The places that have a report of them.
    pub sent: Vec<String>,
    /// By policy: 1 to 8.
    pub policies: Vec<TlsPolicyResults>,
}

/// The results under one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsPolicyResults {
    /// The policy.
    pub policy: TlsPolicy,
    /// Connections that were as secure as it asks.
    pub successes: u64,
    /// Those that were not, with and without details.
    pub failures: u64,
    /// Details of the failures, the most of which there is room for.
    pub details: Vec<(TlsFailure, u64)>,
}
