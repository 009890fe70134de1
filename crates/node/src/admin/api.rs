//! The administration API's values, as JSON. Used by the server and by the
//! command line, so that the two cannot drift apart.

mod dns;
mod queue;
mod tls_reports;
mod trace;
mod verify;

use postrider_meta::{
    AccountState, AccountView, AliasView, DefaultMailbox, DomainView, GroupView, SpecialUse,
};
use serde::{Deserialize, Serialize};

use crate::date;
pub(crate) use dns::{ChangeKeys, Dns, Key, Policy, Record};
pub(crate) use queue::{Changed, Destination, Entry, Recipient, Select, Stats};
pub(crate) use tls_reports::{SendTlsReports, SentTlsReports, TlsPolicy, TlsResults};
pub(crate) use trace::{Acceptance, Event, Place, Trace};
pub(crate) use verify::Verified;

/// One page of a list.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    /// Ask again with `?after=` this; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) next: Option<String>,
}

/// What a failed request answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// A stable word for machines: `not_found`, `exists`, ...
    pub(crate) error: String,
    /// What is wrong and what to do, for people.
    pub(crate) message: String,
}

/// `POST /v1/cluster/tokens`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddToken {
    /// Seconds; an hour if absent.
    #[serde(default)]
    pub(crate) expires_seconds: Option<u64>,
    /// Nodes that may join with it; one if absent.
    #[serde(default)]
    pub(crate) uses: Option<u32>,
}

/// The answer to it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) token: String,
}

/// `POST /v1/cluster/leader`; absent: whichever voter keeps up best.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveLeader {
    #[serde(default)]
    pub(crate) node: Option<u64>,
}

/// The answer to it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Leader {
    pub(crate) leader: u64,
}

/// `GET /v1/cluster/hash`: equal on nodes that have applied the same.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StateHash {
    /// The last entry that the state has.
    pub(crate) applied: u64,
    /// BLAKE3 of the state, hexadecimal.
    pub(crate) hash: String,
}

/// A domain.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Domain {
    pub(crate) name: String,
    pub(crate) internal: bool,
    pub(crate) catch_all: Option<String>,
    /// The server behind this one that mail for unknown addresses goes on to.
    pub(crate) relay_to: Option<String>,
    /// How the connection to it is protected, where there is one.
    pub(crate) relay_tls: Option<RelayTls>,
    pub(crate) accounts: u64,
}

/// How the connection to a server behind this one is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RelayTls {
    /// TLS where the server offers it, with any certificate
    Opportunistic,
    /// TLS always, and the certificate must name the host
    Verified,
    /// Never TLS
    Off,
}

/// `POST /v1/domains`
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddDomain {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) internal: bool,
    #[serde(default)]
    pub(crate) catch_all: Option<String>,
    /// `HOST` or `HOST:PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) relay_to: Option<String>,
    /// Opportunistic unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) relay_tls: Option<RelayTls>,
}

/// `PATCH /v1/domains/{name}`: what is absent stays; an empty `catch_all` or
/// `relay_to` removes it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SetDomain {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) internal: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) catch_all: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) relay_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) relay_tls: Option<RelayTls>,
}

/// An account. Sizes are bytes, dates `YYYY-MM-DD` in UTC.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) address: String,
    /// `active`, `suspended` or `removing`.
    pub(crate) state: String,
    /// Closed from the beginning of this day on.
    pub(crate) expires: Option<String>,
    pub(crate) created: String,
    pub(crate) bytes: u64,
    pub(crate) messages: u64,
    pub(crate) quota_bytes: Option<u64>,
    pub(crate) quota_messages: Option<u64>,
}

/// `POST /v1/accounts`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddAccount {
    pub(crate) address: String,
    pub(crate) password: String,
    #[serde(default)]
    pub(crate) quota_bytes: Option<u64>,
    #[serde(default)]
    pub(crate) quota_messages: Option<u64>,
    #[serde(default)]
    pub(crate) expires: Option<String>,
}

/// `PATCH /v1/accounts/{address}`: what is absent stays; 0 and an empty text
/// remove a limit and a date.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SetAccount {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quota_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quota_messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<String>,
    /// `active` or `suspended`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
}

/// An alias; also `PUT /v1/aliases`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alias {
    pub(crate) address: String,
    pub(crate) targets: Vec<String>,
    /// In a request: refuse if the alias exists, instead of replacing it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) only_new: bool,
}

/// A group; also `POST /v1/groups`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) address: String,
    #[serde(default)]
    pub(crate) members: Vec<String>,
    #[serde(default)]
    pub(crate) internal: bool,
    /// It is a mailing list.
    #[serde(default)]
    pub(crate) list: bool,
    /// The owner of the list, if not the postmaster of its domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    /// Members of the list may take themselves out.
    #[serde(default)]
    pub(crate) unsubscribe: bool,
}

/// `PATCH /v1/groups/{address}`
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SetGroup {
    pub(crate) add: Vec<String>,
    pub(crate) remove: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) internal: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) list: Option<bool>,
    /// Empty for the postmaster of the domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unsubscribe: Option<bool>,
}

/// A mailbox that each new account gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mailbox {
    pub(crate) name: String,
    /// `archive`, `drafts`, `flagged`, `junk`, `sent` or `trash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) special_use: Option<String>,
}

/// `PUT /v1/default-mailboxes`, and the answer to its GET.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultMailboxes {
    pub(crate) mailboxes: Vec<Mailbox>,
}

const SPECIAL_USES: [(&str, SpecialUse); 6] = [
    ("archive", SpecialUse::Archive),
    ("drafts", SpecialUse::Drafts),
    ("flagged", SpecialUse::Flagged),
    ("junk", SpecialUse::Junk),
    ("sent", SpecialUse::Sent),
    ("trash", SpecialUse::Trash),
];

impl Mailbox {
    /// As the store takes it; what is wrong with it otherwise.
    pub(crate) fn into_default(self) -> Result<DefaultMailbox, String> {
        let find = |word: String| {
            let mut all = SPECIAL_USES.iter();
            let found = all.find(|(name, _)| name.eq_ignore_ascii_case(&word));
            found.map(|(_, special_use)| *special_use).ok_or_else(|| {
                format!("`{word}` is no special use; there are archive, drafts, flagged, junk, sent, trash")
            })
        };
        Ok(DefaultMailbox {
            special_use: self.special_use.map(find).transpose()?,
            name: self.name,
        })
    }
}

impl From<DefaultMailbox> for Mailbox {
    fn from(mailbox: DefaultMailbox) -> Self {
        let word = |use_: SpecialUse| {
            let mut all = SPECIAL_USES.iter();
            all.find(|(_, known)| *known == use_)
                .map(|(name, _)| (*name).to_owned())
        };
        Self {
            special_use: mailbox.special_use.and_then(word),
            name: mailbox.name,
        }
    }
}

impl From<DomainView> for Domain {
    fn from(view: DomainView) -> Self {
        Self {
            name: view.name.to_string(),
            internal: view.internal,
            catch_all: view.catch_all.map(|address| address.to_string()),
            relay_to: view.relay.as_ref().map(|relay| relay.to.to_string()),
            relay_tls: view.relay.map(|relay| relay.tls.into()),
            accounts: view.accounts,
        }
    }
}

impl From<postrider_meta::RelayTls> for RelayTls {
    fn from(tls: postrider_meta::RelayTls) -> Self {
        match tls {
            postrider_meta::RelayTls::Opportunistic => Self::Opportunistic,
            postrider_meta::RelayTls::Verified => Self::Verified,
            postrider_meta::RelayTls::Off => Self::Off,
        }
    }
}

impl From<RelayTls> for postrider_meta::RelayTls {
    fn from(tls: RelayTls) -> Self {
        match tls {
            RelayTls::Opportunistic => Self::Opportunistic,
            RelayTls::Verified => Self::Verified,
            RelayTls::Off => Self::Off,
        }
    }
}

impl From<AccountView> for Account {
    fn from(view: AccountView) -> Self {
        let state = match view.state {
            AccountState::Active => "active",
            AccountState::Suspended => "suspended",
            AccountState::Removing => "removing",
        };
        Self {
            address: view.address.to_string(),
            state: state.into(),
            expires: view.expires.map(date::format),
            created: date::format(view.created),
            bytes: view.quota.bytes,
            messages: view.quota.messages,
            quota_bytes: view.quota.limit.bytes,
            quota_messages: view.quota.limit.messages,
        }
    }
}

impl From<AliasView> for Alias {
    fn from(view: AliasView) -> Self {
        Self {
            address: view.address.to_string(),
            targets: view.targets.iter().map(ToString::to_string).collect(),
            only_new: false,
        }
    }
}

impl From<GroupView> for Group {
    fn from(view: GroupView) -> Self {
        Self {
            address: view.address.to_string(),
            members: view.members.iter().map(ToString::to_string).collect(),
            internal: view.internal,
            unsubscribe: view.list.as_ref().is_some_and(|list| list.unsubscribe),
            list: view.list.is_some(),
            owner: view
                .list
                .and_then(|list| list.owner)
                .map(|it| it.to_string()),
        }
    }
}
