//! Who receives mail to an address.

use postrider_kv::{self as kv, Read};
use postrider_types::{AccountId, Address, Millis};
use serde::{Deserialize, Serialize};

/// Who receives mail to an address. Follows aliases, groups, plus details and
/// the catch-all, to a depth of 10.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resolve {
    /// The address of RCPT.
    pub address: Address,
    /// The message's size in bytes as far as it is known, else 0: an account
    /// without room for it is over quota.
    pub size: u64,
    /// The sender is local (authenticated or trusted): internal domains and
    /// groups take the mail.
    pub local_sender: bool,
    /// The moment, for expiry dates.
    pub now: Millis,
}

/// What [`Resolve`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resolution {
    /// These accounts receive it, each once, 1 to 10,000.
    Local(Vec<Recipient>),
    /// Not a local domain.
    Foreign,
    /// A local domain without such an address.
    Unknown,
    /// The only account it leads to is closed (expired or being removed).
    Closed,
    /// The only account it leads to has no room. With `exceeds`, the message
    /// alone is larger than the whole quota: it will never fit.
    OverQuota {
        /// Larger than the whole quota.
        exceeds: bool,
    },
    /// Internal domain or group, and the sender is not local.
    Internal,
    /// Leads outside, in a circle, or to nobody; the text says which.
    Undeliverable(String),
}

/// An account that receives a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The account.
    pub account: AccountId,
    /// Its primary address.
    pub address: Address,
    /// The plus detail of the address, if it led here directly.
    pub detail: Option<String>,
}

pub(super) async fn answer<R: Read>(_read: &R, _query: Resolve) -> kv::Result<Resolution> {
    Err(kv::Error::Engine(
        "the query Resolve is not written yet".into(),
    ))
}
