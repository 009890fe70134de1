//! Rows of the history of messages.

use postrider_types::{AccountId, Millis, NodeId, QueueId};

use crate::view::{self, Accepting, EventKind, Origin, TraceView};

/// A line of a message's history: how it was accepted, or something that
/// happened later.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Event {
    /// When.
    #[prost(uint64, tag = "1")]
    pub(crate) at: u64,
    /// The node.
    #[prost(uint64, optional, tag = "2")]
    pub(crate) node: Option<u64>,
    /// What: a place in [`KINDS`], from 1; 0 for the acceptance.
    #[prost(uint32, tag = "3")]
    pub(crate) kind: u32,
    /// The recipient.
    #[prost(string, optional, tag = "4")]
    pub(crate) recipient: Option<String>,
    /// The host.
    #[prost(string, optional, tag = "5")]
    pub(crate) host: Option<String>,
    /// The reply or the error.
    #[prost(string, optional, tag = "6")]
    pub(crate) reply: Option<String>,
    /// How it was accepted.
    #[prost(message, optional, tag = "7")]
    pub(crate) acceptance: Option<Acceptance>,
}

/// How a message was accepted: one row for all of it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Acceptance {
    /// Who handed it over.
    #[prost(string, tag = "1")]
    pub(crate) peer: String,
    /// The account that was logged in.
    #[prost(uint64, optional, tag = "2")]
    pub(crate) login: Option<u64>,
    /// By which protocol.
    #[prost(string, tag = "3")]
    pub(crate) protocol: String,
    /// The sender; empty for null.
    #[prost(string, tag = "4")]
    pub(crate) reverse_path: String,
    /// The first of its recipients.
    #[prost(message, repeated, tag = "5")]
    pub(crate) recipients: Vec<Accepted>,
    /// How many there were.
    #[prost(uint64, tag = "6")]
    pub(crate) count: u64,
}

/// A recipient of [`Acceptance`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Accepted {
    /// Its address.
    #[prost(string, tag = "1")]
    pub(crate) address: String,
    /// The mailbox that it was delivered to; empty where it was queued.
    #[prost(string, tag = "2")]
    pub(crate) mailbox: String,
    /// The entry of the queue; zero where it was delivered.
    #[prost(uint64, tag = "3")]
    pub(crate) entry: u64,
}

/// Kinds by their code less one.
const KINDS: [EventKind; 8] = [
    EventKind::Relayed,
    EventKind::Deferred,
    EventKind::Failed,
    EventKind::Noticed,
    EventKind::Held,
    EventKind::Released,
    EventKind::Removed,
    EventKind::Retried,
];

impl Event {
    /// The row of something that happened.
    pub(crate) fn new(event: view::Event) -> Self {
        let code = KINDS.iter().zip(1..).find(|(kind, _)| **kind == event.kind);
        Self {
            at: event.at.0,
            node: event.node.map(|node| node.0),
            kind: code.map_or(0, |(_, code)| code),
            recipient: event.recipient,
            host: event.host,
            reply: event.reply,
            acceptance: None,
        }
    }

    /// The line as queries show it; None for a kind that this version does not
    /// know.
    pub(crate) fn view(self) -> Option<TraceView> {
        let (at, node) = (Millis(self.at), self.node.map(NodeId));
        if let Some(acceptance) = self.acceptance {
            return Some(TraceView::Accepted(acceptance.view(at, node)));
        }
        let kind = KINDS.get((self.kind as usize).checked_sub(1)?)?;
        Some(TraceView::Event(view::Event {
            at,
            node,
            kind: *kind,
            recipient: self.recipient,
            host: self.host,
            reply: self.reply,
        }))
    }
}

impl Acceptance {
    fn view(self, at: Millis, node: Option<NodeId>) -> view::Acceptance {
        let origin = Origin {
            node,
            peer: self.peer,
            login: self.login.map(AccountId),
            protocol: self.protocol,
            reverse_path: self.reverse_path,
        };
        view::Acceptance {
            at,
            origin,
            recipients: self.recipients.into_iter().map(Accepted::view).collect(),
            count: self.count,
        }
    }
}

impl Accepted {
    fn view(self) -> Accepting {
        let Self {
            address,
            mailbox,
            entry,
        } = self;
        match entry {
            0 => Accepting::Local { address, mailbox },
            _ => Accepting::Queued {
                address,
                entry: QueueId(entry),
            },
        }
    }
}
