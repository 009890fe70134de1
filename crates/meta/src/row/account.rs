//! Rows of an account that are not its mail.

use postrider_types::Millis;

use crate::view::{AccountState, QuotaLimit, QuotaView};

/// An account. Changes by administration only, so that mail traffic rewrites
/// [`Counters`] alone. Stays (as removing) until the account is purged.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Account {
    /// Its primary address.
    #[prost(string, tag = "1")]
    pub(crate) address: String,
    /// 0 active, 1 suspended, 2 removing; see [`Account::state`].
    #[prost(uint32, tag = "2")]
    pub(crate) state_code: u32,
    /// Closed from this moment on.
    #[prost(uint64, optional, tag = "3")]
    pub(crate) expires: Option<u64>,
    /// Most bytes.
    #[prost(uint64, optional, tag = "4")]
    pub(crate) quota_bytes: Option<u64>,
    /// Most messages.
    #[prost(uint64, optional, tag = "5")]
    pub(crate) quota_messages: Option<u64>,
    /// When it was added.
    #[prost(uint64, tag = "6")]
    pub(crate) created: u64,
    /// Its domain's id.
    #[prost(uint64, tag = "7")]
    pub(crate) domain: u64,
}

impl Account {
    /// Whether it may be used.
    pub(crate) fn state(&self) -> AccountState {
        match self.state_code {
            0 => AccountState::Active,
            1 => AccountState::Suspended,
            // Also what a later version may mean: the safe reading is "not in use".
            _ => AccountState::Removing,
        }
    }

    /// Sets whether it may be used.
    pub(crate) fn set_state(&mut self, state: AccountState) {
        self.state_code = match state {
            AccountState::Active => 0,
            AccountState::Suspended => 1,
            AccountState::Removing => 2,
        };
    }

    /// Whether its expiry date has come.
    pub(crate) fn expired(&self, now: Millis) -> bool {
        self.expires.is_some_and(|expires| expires <= now.0)
    }

    /// Its limits.
    pub(crate) fn limit(&self) -> QuotaLimit {
        QuotaLimit {
            bytes: self.quota_bytes,
            messages: self.quota_messages,
        }
    }

    /// Its use beside its limits.
    pub(crate) fn quota(&self, counters: &Counters) -> QuotaView {
        QuotaView {
            bytes: counters.bytes,
            messages: counters.messages,
            limit: self.limit(),
        }
    }
}

/// What a login check needs; in a row of its own so that nothing else reads it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Credentials {
    /// The argon2id verifier, in PHC string format.
    #[prost(string, tag = "1")]
    pub(crate) verifier: String,
}

/// An account's use and the last numbers that it gave out.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Counters {
    /// Bytes in its mailboxes, the sum of RFC822.SIZE.
    #[prost(uint64, tag = "1")]
    pub(crate) bytes: u64,
    /// Messages in its mailboxes.
    #[prost(uint64, tag = "2")]
    pub(crate) messages: u64,
    /// Mailboxes.
    #[prost(uint32, tag = "3")]
    pub(crate) mailboxes: u32,
    /// Subscribed names.
    #[prost(uint32, tag = "4")]
    pub(crate) subscriptions: u32,
    /// The last MODSEQ.
    #[prost(uint64, tag = "5")]
    pub(crate) last_mod_seq: u64,
    /// The last mailbox id.
    #[prost(uint64, tag = "6")]
    pub(crate) last_mailbox: u64,
    /// The last UIDVALIDITY.
    #[prost(uint32, tag = "7")]
    pub(crate) last_uid_validity: u32,
}
