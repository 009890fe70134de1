//! The history of a message: how it came, and what was done about it outside.

use postrider_types::{AccountId, Millis, NodeId, QueueId};
use serde::{Deserialize, Serialize};

/// Where a message came from. Texts above their bounds are cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The node that took it; None on one that stands alone.
    pub node: Option<NodeId>,
    /// Who handed it over, up to 255 bytes: an address, with a name where known.
    pub peer: String,
    /// Who was logged in.
    pub login: Option<AccountId>,
    /// By which protocol, as in Received (RFC 3848), up to 255 bytes.
    pub protocol: String,
    /// The sender, up to 512 bytes; empty for the null reverse-path.
    pub reverse_path: String,
}

/// What happened to a message after it was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// A host took it.
    Relayed,
    /// It could not be handed over and is tried again.
    Deferred,
    /// It cannot be delivered.
    Failed,
    /// A notice about it was sent.
    Noticed,
    /// An administrator holds it.
    Held,
    /// An administrator let it go on.
    Released,
    /// An administrator removed it.
    Removed,
    /// An administrator had it tried at once.
    Retried,
}

/// Something that happened to a message. Texts above 1 KiB are cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Millis,
    /// The node that did it.
    pub node: Option<NodeId>,
    /// What.
    pub kind: EventKind,
    /// The recipient; None where it concerns all of an entry.
    pub recipient: Option<String>,
    /// The host that was talked to; of what administrators did, the destination
    /// of the entry.
    pub host: Option<String>,
    /// The reply or the error.
    pub reply: Option<String>,
}

/// How a message was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// When.
    pub at: Millis,
    /// Where it came from.
    pub origin: Origin,
    /// The mailboxes that it was delivered to and the recipients that it was
    /// queued for, at most 100 in all.
    pub recipients: Vec<Accepting>,
    /// How many there were.
    pub count: u64,
}

/// A recipient of an accepted message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Accepting {
    /// Delivered here.
    Local {
        /// The account's primary address.
        address: String,
        /// The mailbox's name.
        mailbox: String,
    },
    /// To be delivered elsewhere.
    Queued {
        /// The address.
        address: String,
        /// The entry of the queue.
        entry: QueueId,
    },
}

/// One line of a message's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TraceView {
    /// It was accepted.
    Accepted(Acceptance),
    /// Something was done about it.
    Event(Event),
}
