//! Rows of the queue of outbound mail.

use bytes::Bytes;
use postrider_kv as kv;
use postrider_types::{AccountId, Address, BodyId, DomainName, Millis, NodeId, QueueId};

use crate::view::{
    self, Notify, QueueEnvelope, QueueState, QueuedRecipient, QueuedView, Return, StsPolicy,
};

/// A message on its way to one destination.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Queued {
    /// The body's id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) body: Bytes,
    /// Bytes of prefix and body.
    #[prost(uint64, tag = "2")]
    pub(crate) size: u64,
    /// Header fields that precede the body.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) prefix: Bytes,
    /// The sender; empty for null.
    #[prost(string, tag = "4")]
    pub(crate) reverse_path: String,
    /// RET: 0 not given, 1 full, 2 headers.
    #[prost(uint32, tag = "5")]
    pub(crate) ret: u32,
    /// ENVID.
    #[prost(string, optional, tag = "6")]
    pub(crate) envelope_id: Option<String>,
    /// SMTPUTF8.
    #[prost(bool, tag = "7")]
    pub(crate) smtp_utf8: bool,
    /// REQUIRETLS.
    #[prost(bool, tag = "8")]
    pub(crate) require_tls: bool,
    /// In whose name it is signed: a domain.
    #[prost(string, optional, tag = "9")]
    pub(crate) sign: Option<String>,
    /// The account that submitted it.
    #[prost(uint64, optional, tag = "10")]
    pub(crate) submitter: Option<u64>,
    /// Where it goes.
    #[prost(string, tag = "11")]
    pub(crate) destination: String,
    /// Who is left; never empty.
    #[prost(message, repeated, tag = "12")]
    pub(crate) recipients: Vec<Recipient>,
    /// When it came.
    #[prost(uint64, tag = "13")]
    pub(crate) created: u64,
    /// When it is tried next.
    #[prost(uint64, tag = "14")]
    pub(crate) due: u64,
    /// When the sender is told that it takes long.
    #[prost(uint64, optional, tag = "15")]
    pub(crate) warn: Option<u64>,
    /// When it comes back.
    #[prost(uint64, tag = "16")]
    pub(crate) expires: u64,
    /// How often it was tried.
    #[prost(uint32, tag = "17")]
    pub(crate) attempts: u32,
    /// Why the last attempt did not end it.
    #[prost(string, optional, tag = "18")]
    pub(crate) last_error: Option<String>,
    /// An administrator holds it; then it has no holder.
    #[prost(bool, tag = "19")]
    pub(crate) held: bool,
    /// The node that has it in hand.
    #[prost(uint64, optional, tag = "20")]
    pub(crate) holder: Option<u64>,
    /// Until when it has; zero where nobody does.
    #[prost(uint64, tag = "21")]
    pub(crate) until: u64,
    /// How often it was leased, or a lease was made void: the fence.
    #[prost(uint64, tag = "22")]
    pub(crate) lease: u64,
    /// In whose name it is sealed; then `sign` is empty.
    #[prost(message, optional, tag = "23")]
    pub(crate) seal: Option<Seal>,
    /// It belongs to a message for many, and waits behind those for few.
    #[prost(bool, tag = "24")]
    pub(crate) bulk: bool,
    /// When the holder's program had begun, by its own clock; zero where nobody has it.
    #[prost(uint64, tag = "25")]
    pub(crate) holder_since: u64,
    /// A mailing list sends it.
    #[prost(bool, tag = "26")]
    pub(crate) list: bool,
    /// The address of the list that each recipient may leave by a link.
    #[prost(string, optional, tag = "27")]
    pub(crate) leaves: Option<String>,
    /// `TLS-Required: No`.
    #[prost(bool, tag = "30")]
    pub(crate) tls_optional: bool,
}

/// How a forwarded message came, part of [`Queued`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Seal {
    /// The domain that seals.
    #[prost(string, tag = "1")]
    pub(crate) domain: String,
    /// The client's address, as text.
    #[prost(string, tag = "2")]
    pub(crate) client: String,
    /// Its name in EHLO.
    #[prost(string, tag = "3")]
    pub(crate) helo: String,
    /// The first sender; empty for null.
    #[prost(string, tag = "4")]
    pub(crate) came_from: String,
}

impl Seal {
    /// The row of `seal`.
    pub(crate) fn new(seal: view::Seal) -> Self {
        Self {
            domain: seal.domain.to_string(),
            client: seal.client.to_string(),
            helo: seal.helo,
            came_from: seal.came_from,
        }
    }

    /// What it says; the reason where that is nonsense.
    pub(crate) fn view(self) -> Result<view::Seal, String> {
        let domain = DomainName::parse(&self.domain).map_err(|error| error.to_string())?;
        let client = self.client.parse();
        Ok(view::Seal {
            domain,
            client: client.map_err(|_| format!("{:?} is no address", self.client))?,
            helo: self.helo,
            came_from: self.came_from,
        })
    }
}

/// A recipient of [`Queued`].
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Recipient {
    /// The address.
    #[prost(string, tag = "1")]
    pub(crate) address: String,
    /// NOTIFY: the bits of [`NOTIFY`]; None where not given.
    #[prost(uint32, optional, tag = "2")]
    pub(crate) notify: Option<u32>,
    /// ORCPT's address type; empty where not given.
    #[prost(string, tag = "3")]
    pub(crate) original_kind: String,
    /// ORCPT's address.
    #[prost(string, tag = "4")]
    pub(crate) original: String,
    /// The last reply or error about it.
    #[prost(string, optional, tag = "5")]
    pub(crate) last: Option<String>,
}

/// The bits of [`Recipient::notify`]: success, failure, delay.
const NOTIFY: [u32; 3] = [1, 2, 4];

impl Recipient {
    /// The row of a recipient.
    pub(crate) fn new(recipient: QueuedRecipient) -> Self {
        let (original_kind, original) = recipient.original.unwrap_or_default();
        let bits = |notify: Notify| {
            let wanted = [notify.success, notify.failure, notify.delay];
            let bits = NOTIFY.iter().zip(wanted).filter(|(_, wanted)| *wanted);
            bits.map(|(bit, _)| bit).sum()
        };
        Self {
            address: recipient.address,
            notify: recipient.notify.map(bits),
            original_kind,
            original,
            last: recipient.last,
        }
    }

    fn view(self) -> QueuedRecipient {
        let notify = |bits: u32| {
            let [success, failure, delay] = NOTIFY.map(|bit| bits & bit != 0);
            Notify {
                success,
                failure,
                delay,
            }
        };
        let named = !self.original_kind.is_empty();
        QueuedRecipient {
            address: self.address,
            notify: self.notify.map(notify),
            original: named.then_some((self.original_kind, self.original)),
            last: self.last,
        }
    }
}

/// RET as rows hold it.
pub(crate) fn return_code(ret: Option<Return>) -> u32 {
    match ret {
        None => 0,
        Some(Return::Full) => 1,
        Some(Return::Headers) => 2,
    }
}

impl Queued {
    /// The body's id.
    pub(crate) fn body_id(&self) -> kv::Result<BodyId> {
        super::body_id(&self.body)
    }

    /// What may happen to it.
    pub(crate) fn state(&self) -> QueueState {
        match self.holder {
            _ if self.held => QueueState::Held,
            Some(holder) => QueueState::Leased {
                holder: NodeId(holder),
                until: Millis(self.until),
            },
            None => QueueState::Waiting,
        }
    }

    /// Whether its recipients get a copy each.
    pub(crate) fn is_bundle(&self) -> bool {
        self.leaves.is_some() && self.recipients.len() > 1
    }

    /// Takes note that a lease has ended, if its time is up.
    pub(crate) fn end_lease(&mut self, now: Millis) {
        if self.until <= now.0 {
            self.release();
        }
    }

    /// Nobody has it in hand any more.
    pub(crate) fn release(&mut self) {
        self.holder = None;
        self.until = 0;
        self.holder_since = 0;
    }

    /// When it may be leased for its destination; None while it is held or in hand.
    pub(crate) fn ready(&self) -> Option<Millis> {
        (!self.held && self.holder.is_none()).then_some(Millis(self.due))
    }

    /// When its lease ends, if it is in hand.
    pub(crate) fn lease_end(&self) -> Option<Millis> {
        self.holder.map(|_| Millis(self.until))
    }

    /// When its sender is to hear of it; None while it is held. Not while
    /// somebody has it in hand, who sees to it.
    pub(crate) fn alarm(&self) -> Option<Millis> {
        let moment = self.warn.unwrap_or(self.expires).min(self.expires);
        (!self.held).then_some(Millis(moment.max(self.until)))
    }

    /// The entry as queries show it.
    pub(crate) fn view(self, id: QueueId) -> kv::Result<QueuedView> {
        let damaged = |reason: String| kv::Error::Value {
            key: kv::key::escape(&crate::key::queued(id)),
            reason,
        };
        let (state, body) = (self.state(), self.body_id()?);
        let sign = self.sign.as_deref().map(DomainName::parse).transpose();
        let seal = self.seal.map(Seal::view).transpose();
        let leaves = self.leaves.as_deref().map(Address::parse).transpose();
        let envelope = QueueEnvelope {
            reverse_path: self.reverse_path,
            ret: match self.ret {
                1 => Some(Return::Full),
                2 => Some(Return::Headers),
                _ => None,
            },
            envelope_id: self.envelope_id,
            smtp_utf8: self.smtp_utf8,
            require_tls: self.require_tls,
            tls_optional: self.tls_optional,
            sign: sign.map_err(|error| damaged(error.to_string()))?,
            submitter: self.submitter.map(AccountId),
        };
        Ok(QueuedView {
            id,
            body,
            size: self.size,
            envelope,
            seal: seal.map_err(damaged)?,
            prefix: self.prefix,
            destination: self.destination,
            recipients: self.recipients.into_iter().map(Recipient::view).collect(),
            created: Millis(self.created),
            due: Millis(self.due),
            warn: self.warn.map(Millis),
            expires: Millis(self.expires),
            attempts: self.attempts,
            last_error: self.last_error,
            state,
            lease: self.lease,
            bulk: self.bulk,
            list: self.list,
            leaves: leaves.map_err(|error| damaged(error.to_string()))?,
        })
    }
}

/// A domain's TLS policy.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Policy {
    /// The id of its DNS record.
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    /// Its text.
    #[prost(string, tag = "2")]
    pub(crate) text: String,
    /// When it was fetched.
    #[prost(uint64, tag = "3")]
    pub(crate) fetched: u64,
    /// When it ends.
    #[prost(uint64, tag = "4")]
    pub(crate) expires: u64,
}

impl Policy {
    /// The policy as queries show it.
    pub(crate) fn view(self) -> StsPolicy {
        StsPolicy {
            id: self.id,
            text: self.text,
            fetched: Millis(self.fetched),
            expires: Millis(self.expires),
        }
    }
}
