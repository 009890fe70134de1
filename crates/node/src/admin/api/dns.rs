//! The values of a domain's DNS records and signing keys. No private key is in any
//! of them.

use postrider_dkim::records;
use postrider_meta::{self as meta, DkimAlgorithm, DkimState};
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// `GET /v1/domains/{name}/dns`: what to publish for a domain.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Dns {
    pub(crate) domain: String,
    /// In the order in which to explain them.
    pub(crate) records: Vec<Record>,
    pub(crate) policy: Option<Policy>,
    /// Its signing keys, whose records are among those above.
    pub(crate) keys: Vec<Key>,
    /// What is left to do, in sentences.
    pub(crate) notes: Vec<String>,
}

/// One record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The whole name, without a final dot.
    pub(crate) name: String,
    /// `MX`, `TXT`, `SRV` or `CNAME`.
    pub(crate) kind: String,
    /// A TXT's whole text without quotes, all else as in a zone file.
    pub(crate) value: String,
    /// The line for a zone file.
    pub(crate) zone: String,
    /// What it is for.
    pub(crate) purpose: String,
}

/// The MTA-STS policy that a record announces (RFC 8461).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Policy {
    /// Where it is to be served.
    pub(crate) url: String,
    /// Its text.
    pub(crate) text: String,
}

/// A signing key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) selector: String,
    /// `rsa-sha256` or `ed25519-sha256`.
    pub(crate) algorithm: String,
    /// `pending`: to be published; `active`: signs; `retired`: published still.
    pub(crate) state: String,
    pub(crate) created: Moment,
}

/// `POST /v1/domains/{name}/keys`; answers [`Dns`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeKeys {
    /// `rotate`: make a pending pair, unless there is one; `activate`: sign with it
    /// and retire the present one; `drop_retired`.
    pub(crate) action: String,
}

impl From<records::Record> for Record {
    fn from(record: records::Record) -> Self {
        Self {
            zone: record.to_string(),
            name: record.name,
            kind: record.kind.to_string(),
            value: record.value,
            purpose: record.purpose.into(),
        }
    }
}

impl From<records::StsPolicy> for Policy {
    fn from(policy: records::StsPolicy) -> Self {
        Self {
            url: format!("https://{}{}", policy.host, policy.path),
            text: policy.text,
        }
    }
}

impl From<&meta::DkimKey> for Key {
    fn from(key: &meta::DkimKey) -> Self {
        let algorithm = match key.algorithm {
            DkimAlgorithm::RsaSha256 => "rsa-sha256",
            DkimAlgorithm::Ed25519Sha256 => "ed25519-sha256",
        };
        let state = match key.state {
            DkimState::Pending => "pending",
            DkimState::Active => "active",
            DkimState::Retired => "retired",
        };
        Self {
            selector: key.selector.clone(),
            algorithm: algorithm.into(),
            state: state.into(),
            created: key.created.into(),
        }
    }
}
