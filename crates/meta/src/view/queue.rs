//! What goes into the queue of outbound mail and what queries show of it.

use std::net::IpAddr;

use bytes::Bytes;
use postrider_types::{AccountId, Address, BodyId, DomainName, Millis, NodeId, QueueId};
use serde::{Deserialize, Serialize};

/// How much of a message a notice about its failure brings back (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Return {
    /// All of it.
    Full,
    /// Its header alone.
    Headers,
}

/// Of what the sender wants to hear about a recipient (RFC 3461 §4.1). Nothing
/// set is NEVER.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// That the message was delivered.
    pub success: bool,
    /// That it could not be delivered.
    pub failure: bool,
    /// That its delivery takes long.
    pub delay: bool,
}

/// A recipient of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedRecipient {
    /// The address as it is to be sent, up to 512 bytes: the case of the local
    /// part kept, the domain as an A-label or in UTF-8.
    pub address: String,
    /// Of what the sender wants to hear. None is the default: failure and delay.
    pub notify: Option<Notify>,
    /// The recipient that the sender first named (ORCPT, RFC 3461 §4.2): the
    /// address type, up to 64 bytes, and the address, still encoded, up to 1,000.
    pub original: Option<(String, String)>,
    /// The last reply or error about it. What is longer than 1 KiB is cut.
    pub last: Option<String>,
}

/// What all entries of a message have in common beside the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueEnvelope {
    /// The sender, up to 512 bytes; empty for the null reverse-path.
    pub reverse_path: String,
    /// What notices bring back.
    pub ret: Option<Return>,
    /// ENVID (RFC 3461 §4.4), decoded, up to 500 bytes.
    pub envelope_id: Option<String>,
    /// SMTPUTF8 was asked for (RFC 6531).
    pub smtp_utf8: bool,
    /// REQUIRETLS was asked for (RFC 8689).
    pub require_tls: bool,
    /// The sender would rather have it delivered than protected (`TLS-Required:
    /// No`, RFC 8689 §3): what the receiving domain demands of TLS is passed over.
    pub tls_optional: bool,
    /// The domain in whose name to sign with DKIM.
    pub sign: Option<DomainName>,
    /// Who submitted it, if it was an account.
    pub submitter: Option<AccountId>,
}

/// The part of a new message that goes outside: one entry per destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewQueued {
    /// What the entries have in common.
    pub envelope: QueueEnvelope,
    /// Header fields put before the body, CRLF at the end, at most 8 KiB.
    pub prefix: Bytes,
    /// Where it goes, 1 to 10,000; the same name may come several times. All
    /// together have at most 10,000 recipients.
    pub destinations: Vec<NewDestination>,
    /// When to try first.
    pub due: Millis,
    /// When the sender is to hear that it takes long.
    pub warn: Option<Millis>,
    /// When it comes back to the sender.
    pub expires: Millis,
}

/// One destination of [`NewQueued`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewDestination {
    /// `example.org` or `[192.0.2.1]`: in lower case, 1 to 255 bytes, no control
    /// characters.
    pub name: String,
    /// The recipients there, 1 to 100.
    pub recipients: Vec<QueuedRecipient>,
    /// The sender, where it is another than the envelope's: of what is forwarded,
    /// which is not signed either. Up to 512 bytes.
    #[serde(default)]
    pub sender: Option<String>,
    /// Where it is forwarded for a stranger: how it came, to be sealed.
    #[serde(default)]
    pub seal: Option<Seal>,
    /// Where a mailing list sends it: what its copies have of their own. Not
    /// together with a seal.
    #[serde(default)]
    pub list: Option<ListCopy>,
    /// Header fields of these copies alone, put before the prefix that all have: CRLF at
    /// the end, at most 8 KiB with that. Not together with a list, whose copies have a
    /// prefix of their own.
    #[serde(default, skip_serializing_if = "Bytes::is_empty")]
    pub fields: Bytes,
}

/// What a copy of a mailing list has instead of what the message came with. RET and
/// ENVID do not go with it: they are the poster's, and the list asks for its own
/// notices (RFC 3461 §5.2.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListCopy {
    /// Header fields put before the body, in place of the message's: CRLF at the
    /// end, at most 8 KiB.
    pub prefix: Bytes,
    /// The domain in whose name to sign with DKIM.
    pub sign: Option<DomainName>,
    /// The list that each recipient may leave by a link in its copy. Such a copy is for
    /// one alone: a lease takes recipient by recipient out of the entry, as entries of
    /// their own.
    #[serde(default)]
    pub leaves: Option<Address>,
}

/// In whose name a forwarded message is sealed (ARC, RFC 8617), and what is told
/// there of how it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The domain of ours that forwards it.
    pub domain: DomainName,
    /// The client that brought it.
    pub client: IpAddr,
    /// What the client called itself, up to 255 bytes; empty where it did not say.
    pub helo: String,
    /// The sender before it was rewritten, up to 512 bytes; empty for the null
    /// reverse-path.
    pub came_from: String,
}

/// What may happen to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueState {
    /// Waits until it is due.
    Waiting,
    /// A node has it in hand.
    Leased {
        /// Which node.
        holder: NodeId,
        /// Until when, by the leader's clock. From then on it may be leased anew.
        until: Millis,
    },
    /// Kept back by an administrator: neither tried nor expired.
    Held,
}

/// An entry of the queue: a message on its way to one destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedView {
    /// Its id.
    pub id: QueueId,
    /// The body after the prefix.
    pub body: BodyId,
    /// Bytes of prefix and body.
    pub size: u64,
    /// Its envelope.
    pub envelope: QueueEnvelope,
    /// In whose name it is sealed; then it is not signed.
    pub seal: Option<Seal>,
    /// Header fields that precede the body.
    pub prefix: Bytes,
    /// Where it goes.
    pub destination: String,
    /// The recipients that are left.
    pub recipients: Vec<QueuedRecipient>,
    /// When it came into the queue.
    pub created: Millis,
    /// When it is tried next, if its destination does not rest.
    pub due: Millis,
    /// When the sender is to hear that it takes long.
    pub warn: Option<Millis>,
    /// When it comes back to the sender.
    pub expires: Millis,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt did not end it.
    pub last_error: Option<String>,
    /// What may happen to it now.
    pub state: QueueState,
    /// The number of its last lease; 0 before the first.
    pub lease: u64,
    /// It belongs to a message for many, and waits behind those for few.
    #[serde(default)]
    pub bulk: bool,
    /// A mailing list sends it, in its own name.
    #[serde(default)]
    pub list: bool,
    /// The list that its recipient may leave by a link in its copy.
    #[serde(default)]
    pub leaves: Option<Address>,
}

impl QueuedView {
    /// Whether its recipients get a copy each, so that it is not sent as it is.
    pub fn is_bundle(&self) -> bool {
        self.leaves.is_some() && self.recipients.len() > 1
    }
}

/// A destination that entries wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationView {
    /// Its name.
    pub name: String,
    /// How many entries it has, held ones included.
    pub entries: u64,
    /// When the next of them may be leased; None where all are held.
    pub next: Option<Millis>,
    /// Nothing is tried before this: it rests after failures.
    pub not_before: Option<Millis>,
    /// Failures since it last worked.
    pub failures: u32,
    /// The last failure.
    pub last_error: Option<String>,
}

/// The queue at a glance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStats {
    /// Entries, held ones included.
    pub entries: u64,
    /// Entries that are held.
    pub held: u64,
    /// When the oldest entry came.
    pub oldest: Option<Millis>,
    /// Destinations that have entries.
    pub destinations: u64,
}

/// The policy of a domain that asks for verified TLS (MTA-STS, RFC 8461), as it
/// was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StsPolicy {
    /// The id of its DNS record, up to 64 bytes.
    pub id: String,
    /// Its text, up to 64 KiB.
    pub text: String,
    /// When it was fetched.
    pub fetched: Millis,
    /// When it must no longer be used.
    pub expires: Millis,
}
