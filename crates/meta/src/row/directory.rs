//! Rows of the directory: domains, who holds which address, aliases, groups.

use postrider_kv as kv;

use crate::view::{self, RelayTls};

/// A local domain.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Domain {
    /// Its id.
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    /// Takes mail from local senders only.
    #[prost(bool, tag = "2")]
    pub(crate) internal: bool,
    /// Who receives mail for unknown local parts: an address.
    #[prost(string, optional, tag = "3")]
    pub(crate) catch_all: Option<String>,
    /// When it was added.
    #[prost(uint64, tag = "4")]
    pub(crate) created: u64,
    /// Where mail for unknown local parts goes on to; none beside a catch-all.
    #[prost(message, optional, tag = "5")]
    pub(crate) relay: Option<Relay>,
}

/// The server behind this one of a [`Domain`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Relay {
    /// `HOST` or `HOST:PORT`.
    #[prost(string, tag = "1")]
    pub(crate) to: String,
    /// 0 opportunistic, 1 verified, 2 off.
    #[prost(uint32, tag = "2")]
    pub(crate) tls: u32,
}

impl Relay {
    /// The row of a relay.
    pub(crate) fn new(relay: &view::Relay) -> Self {
        Self {
            to: relay.to.to_string(),
            tls: match relay.tls {
                RelayTls::Opportunistic => 0,
                RelayTls::Verified => 1,
                RelayTls::Off => 2,
            },
        }
    }

    /// The relay as queries show it.
    pub(crate) fn view(&self) -> kv::Result<view::Relay> {
        let to = self.to.parse().map_err(|error| kv::Error::Value {
            key: self.to.clone(),
            reason: format!("not a server: {error}"),
        })?;
        Ok(view::Relay {
            to,
            tls: match self.tls {
                0 => RelayTls::Opportunistic,
                2 => RelayTls::Off,
                // Also what a later version may mean: rather too strict than too lax.
                _ => RelayTls::Verified,
            },
        })
    }
}

/// What kind of thing holds an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum Holder {
    /// Not written.
    Unknown = 0,
    /// An account.
    Account = 1,
    /// An alias.
    Alias = 2,
    /// A group.
    Group = 3,
}

/// Who holds an address. No address has two holders.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Name {
    /// What kind of thing; read it by [`Name::holder`].
    #[prost(enumeration = "Holder", tag = "1")]
    pub(crate) holder: i32,
    /// The account, if it is one.
    #[prost(uint64, tag = "2")]
    pub(crate) account: u64,
}

/// An account by its address, for listing.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AccountName {
    /// The account.
    #[prost(uint64, tag = "1")]
    pub(crate) account: u64,
}

/// An alias.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Alias {
    /// Where its mail goes: addresses.
    #[prost(string, repeated, tag = "1")]
    pub(crate) targets: Vec<String>,
}

/// A distribution group. Its members are keys of their own.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Group {
    /// Takes mail from local senders only.
    #[prost(bool, tag = "1")]
    pub(crate) internal: bool,
    /// How many members it has.
    #[prost(uint32, tag = "2")]
    pub(crate) members: u32,
    /// It is a mailing list.
    #[prost(bool, tag = "3")]
    pub(crate) list: bool,
    /// Who answers for the list, if it is not the postmaster of its domain.
    #[prost(string, optional, tag = "4")]
    pub(crate) owner: Option<String>,
    /// Members of the list may take themselves out.
    #[prost(bool, tag = "5")]
    pub(crate) unsubscribe: bool,
}

/// The mailboxes that each new account gets beside INBOX.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DefaultMailboxes {
    /// They.
    #[prost(message, repeated, tag = "1")]
    pub(crate) mailboxes: Vec<DefaultMailbox>,
}

/// One of [`DefaultMailboxes`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DefaultMailbox {
    /// Its full name.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Its special use, a code of [`super::special_use_code`].
    #[prost(uint32, tag = "2")]
    pub(crate) special_use: u32,
}

/// The last id that was given out.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Number {
    /// It.
    #[prost(uint64, tag = "1")]
    pub(crate) last: u64,
}
