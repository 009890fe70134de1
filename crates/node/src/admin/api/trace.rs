//! The values of a message's history.

use postrider_meta::{Accepting, Event as EventView, EventKind};
use serde::{Deserialize, Serialize};

use super::Entry;
use crate::moment::Moment;

/// `GET /v1/trace/{id}`: what is known of a message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Trace {
    /// Its id.
    pub(crate) message: String,
    pub(crate) accepted: Option<Acceptance>,
    /// What was done about it outside, the earliest first.
    pub(crate) events: Vec<Event>,
    /// Its entries that are in the queue still.
    pub(crate) waiting: Vec<Entry>,
}

/// How it was accepted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Acceptance {
    pub(crate) at: Moment,
    /// The node that took it; absent on one that stands alone.
    pub(crate) node: Option<u64>,
    /// Who handed it over.
    pub(crate) peer: String,
    /// By which protocol, as in Received (RFC 3848).
    pub(crate) protocol: String,
    /// Who was logged in: the address, or `account NUMBER` where it is not found.
    pub(crate) login: Option<String>,
    /// Empty for a notice.
    pub(crate) sender: String,
    /// At most 100 of them.
    pub(crate) recipients: Vec<Place>,
    /// How many there were.
    pub(crate) count: u64,
}

/// Where a recipient's copy went: into a mailbox or into an entry of the queue.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) address: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) mailbox: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) entry: Option<u64>,
}

/// Something that happened to it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) at: Moment,
    pub(crate) node: Option<u64>,
    /// `relayed`, `deferred`, `failed`, `noticed`, `held`, `released`, `removed` or
    /// `retried`.
    pub(crate) kind: String,
    /// Absent where it concerns all of an entry.
    pub(crate) recipient: Option<String>,
    /// The host that was talked to; of what administrators did, the destination.
    pub(crate) host: Option<String>,
    /// The reply or the error.
    pub(crate) reply: Option<String>,
}

impl From<Accepting> for Place {
    fn from(accepting: Accepting) -> Self {
        match accepting {
            Accepting::Local { address, mailbox } => Self {
                address,
                mailbox: Some(mailbox),
                entry: None,
            },
            Accepting::Queued { address, entry } => Self {
                address,
                mailbox: None,
                entry: Some(entry.0),
            },
        }
    }
}

impl From<EventView> for Event {
    fn from(event: EventView) -> Self {
        let kind = match event.kind {
            EventKind::Relayed => "relayed",
            EventKind::Deferred => "deferred",
            EventKind::Failed => "failed",
            EventKind::Noticed => "noticed",
            EventKind::Held => "held",
            EventKind::Released => "released",
            EventKind::Removed => "removed",
            EventKind::Retried => "retried",
        };
        Self {
            at: event.at.into(),
            node: event.node.map(|node| node.0),
            kind: kind.into(),
            recipient: event.recipient,
            host: event.host,
            reply: event.reply,
        }
    }
}
