//! The queue's values.

use postrider_meta::{
    DestinationView, Notify, QueueState, QueueStats, QueuedRecipient, QueuedView, Return,
};
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// Which entries: `GET /v1/queue?...`, and in `POST /v1/queue/{action}` those that
/// change. An entry must fit all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Select {
    /// Occurs in the sender, in whatever case; so do the texts below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sender: Option<String>,
    /// Occurs in the address of a recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recipient: Option<String>,
    /// Is the destination, whole: removing what goes to `example.org` shall not
    /// remove what goes to `another-example.org`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) domain: Option<String>,
    /// Occurs in the last error, or the last reply about a recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// `waiting`, `leased` or `held`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    /// In a change: all entries are meant, if nothing above says less.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) all: bool,
    /// Go on where a former answer's `next` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
    /// In a list: the longest page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u32>,
}

impl Select {
    /// Whether it says nothing about which entries.
    pub(crate) fn is_open(&self) -> bool {
        let texts = [
            &self.sender,
            &self.recipient,
            &self.domain,
            &self.error,
            &self.state,
        ];
        texts.into_iter().all(Option::is_none)
    }
}

/// What `POST /v1/queue/{action}` answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Changed {
    /// How many entries this request changed.
    pub(crate) changed: u64,
    /// There is more to do: ask the same again with this as `after`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) next: Option<String>,
}

/// An entry of the queue: a message on its way to one destination.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    /// The message's id, as in its Received field.
    pub(crate) message: String,
    /// Empty for a notice.
    pub(crate) sender: String,
    pub(crate) destination: String,
    /// The recipients that are left.
    pub(crate) recipients: Vec<Recipient>,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) created: Moment,
    /// When it is tried next, if its destination does not rest then.
    pub(crate) due: Moment,
    /// When the sender is to hear that it takes long.
    pub(crate) warn: Option<Moment>,
    /// When it comes back to the sender.
    pub(crate) expires: Moment,
    pub(crate) attempts: u32,
    pub(crate) last_error: Option<String>,
    /// `waiting`, `leased` or `held`.
    pub(crate) state: String,
    /// Of a leased one: the node that has it in hand, and until when.
    pub(crate) node: Option<u64>,
    pub(crate) until: Option<Moment>,
    /// The id of the account that submitted it.
    pub(crate) submitter: Option<u64>,
    /// The domain in whose name it is signed.
    pub(crate) sign: Option<String>,
    pub(crate) smtp_utf8: bool,
    pub(crate) require_tls: bool,
    /// `TLS-Required: No` (RFC 8689).
    #[serde(default)]
    pub(crate) tls_optional: bool,
    /// `full` or `headers`: what notices bring back (RFC 3461).
    pub(crate) ret: Option<String>,
    /// ENVID (RFC 3461).
    pub(crate) envelope_id: Option<String>,
}

/// A recipient of an entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recipient {
    pub(crate) address: String,
    /// Of what the sender wants to hear: `success`, `failure`, `delay`; empty for
    /// nothing, absent for the default.
    pub(crate) notify: Option<Vec<String>>,
    /// The recipient that the sender first named, such as `rfc822;a@example.org`.
    pub(crate) original: Option<String>,
    /// The last reply or error about it.
    pub(crate) last: Option<String>,
}

/// A destination that entries wait for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Destination {
    pub(crate) name: String,
    /// Held ones included.
    pub(crate) entries: u64,
    /// When the next of them is tried; absent where all are held.
    pub(crate) next: Option<Moment>,
    /// Nothing is tried before: it rests after failures.
    pub(crate) not_before: Option<Moment>,
    /// Failures since it last worked.
    pub(crate) failures: u32,
    pub(crate) last_error: Option<String>,
}

/// `GET /v1/queue/stats`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// Held ones included.
    pub(crate) entries: u64,
    pub(crate) held: u64,
    /// When the oldest entry came.
    pub(crate) oldest: Option<Moment>,
    pub(crate) destinations: u64,
}

impl From<QueuedView> for Entry {
    fn from(view: QueuedView) -> Self {
        let (state, node, until) = match view.state {
            QueueState::Waiting => ("waiting", None, None),
            QueueState::Leased { holder, until } => ("leased", Some(holder.0), Some(until.into())),
            QueueState::Held => ("held", None, None),
        };
        let envelope = view.envelope;
        let ret = envelope.ret.map(|ret| match ret {
            Return::Full => "full".to_owned(),
            Return::Headers => "headers".to_owned(),
        });
        Self {
            id: view.id.0,
            message: view.body.to_string(),
            sender: envelope.reverse_path,
            destination: view.destination,
            recipients: view.recipients.into_iter().map(Recipient::from).collect(),
            size: view.size,
            created: view.created.into(),
            due: view.due.into(),
            warn: view.warn.map(Moment),
            expires: view.expires.into(),
            attempts: view.attempts,
            last_error: view.last_error,
            state: state.into(),
            node,
            until,
            submitter: envelope.submitter.map(|account| account.0),
            sign: envelope.sign.map(|domain| domain.to_string()),
            smtp_utf8: envelope.smtp_utf8,
            require_tls: envelope.require_tls,
            tls_optional: envelope.tls_optional,
            ret,
            envelope_id: envelope.envelope_id,
        }
    }
}

impl From<QueuedRecipient> for Recipient {
    fn from(recipient: QueuedRecipient) -> Self {
        let words = |notify: Notify| {
            let all = [
                ("success", notify.success),
                ("failure", notify.failure),
                ("delay", notify.delay),
            ];
            let set = all.into_iter().filter(|(_, set)| *set);
            set.map(|(word, _)| word.to_owned()).collect()
        };
        Self {
            address: recipient.address,
            notify: recipient.notify.map(words),
            original: recipient
                .original
                .map(|(kind, address)| format!("{kind};{address}")),
            last: recipient.last,
        }
    }
}

impl From<DestinationView> for Destination {
    fn from(view: DestinationView) -> Self {
        Self {
            name: view.name,
            entries: view.entries,
            next: view.next.map(Moment),
            not_before: view.not_before.map(Moment),
            failures: view.failures,
            last_error: view.last_error,
        }
    }
}

impl From<QueueStats> for Stats {
    fn from(stats: QueueStats) -> Self {
        Self {
            entries: stats.entries,
            held: stats.held,
            oldest: stats.oldest.map(Moment),
            destinations: stats.destinations,
        }
    }
}
