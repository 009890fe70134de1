//! The ENVELOPE of a message (RFC 9051 §7.5.2): raw strings as they stand in
//! the header, unfolded, encoded words left alone.

use bytes::Bytes;

use crate::{address, header};

/// An envelope. A field is None (or an empty list) where the message has none.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Envelope {
    /// Date.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub date: Option<Bytes>,
    /// Subject.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub subject: Option<Bytes>,
    /// From.
    #[prost(message, repeated, tag = "3")]
    pub from: Vec<Address>,
    /// Sender as written; IMAP shows [`Envelope::sender`].
    #[prost(message, repeated, tag = "4")]
    pub written_sender: Vec<Address>,
    /// Reply-To as written; IMAP shows [`Envelope::reply_to`].
    #[prost(message, repeated, tag = "5")]
    pub written_reply_to: Vec<Address>,
    /// To.
    #[prost(message, repeated, tag = "6")]
    pub to: Vec<Address>,
    /// Cc.
    #[prost(message, repeated, tag = "7")]
    pub cc: Vec<Address>,
    /// Bcc.
    #[prost(message, repeated, tag = "8")]
    pub bcc: Vec<Address>,
    /// In-Reply-To.
    #[prost(bytes = "bytes", optional, tag = "9")]
    pub in_reply_to: Option<Bytes>,
    /// Message-ID, with its angle brackets.
    #[prost(bytes = "bytes", optional, tag = "10")]
    pub message_id: Option<Bytes>,
}

impl Envelope {
    /// Reads the envelope of a raw header block. `budget` is the number of bytes
    /// that may still be kept; what exceeds it is dropped, recipients first.
    pub(crate) fn read(block: &[u8], budget: &mut usize) -> Self {
        let mut envelope = Self::default();
        // Thousands of recipients must not crowd out the fields behind them.
        let mut originators = Vec::new();
        let mut recipients = Vec::new();
        for field in header::fields(block) {
            // The names that matter are 2 to 11 bytes long.
            let mut lower = [0; 11];
            let Some(name) = lower.get_mut(..field.name.len()) else {
                continue;
            };
            name.copy_from_slice(field.name);
            name.make_ascii_lowercase();
            match &*name {
                b"date" => keep(&mut envelope.date, &field, budget),
                b"subject" => keep(&mut envelope.subject, &field, budget),
                b"in-reply-to" => keep(&mut envelope.in_reply_to, &field, budget),
                b"message-id" => keep(&mut envelope.message_id, &field, budget),
                b"from" | b"sender" | b"reply-to" => originators.push(field),
                b"to" | b"cc" | b"bcc" => recipients.push(field),
                _ => {}
            }
        }
        for field in originators.into_iter().chain(recipients) {
            let list = if field.is("from") {
                &mut envelope.from
            } else if field.is("sender") {
                &mut envelope.written_sender
            } else if field.is("reply-to") {
                &mut envelope.written_reply_to
            } else if field.is("to") {
                &mut envelope.to
            } else if field.is("cc") {
                &mut envelope.cc
            } else {
                &mut envelope.bcc
            };
            address::read_list(field.value, budget, list);
        }
        envelope
    }

    /// The sender; a message without Sender has From's (RFC 9051 §7.5.2).
    pub fn sender(&self) -> &[Address] {
        if self.written_sender.is_empty() {
            &self.from
        } else {
            &self.written_sender
        }
    }

    /// Where replies go; a message without Reply-To has From's (RFC 9051 §7.5.2).
    pub fn reply_to(&self) -> &[Address] {
        if self.written_reply_to.is_empty() {
            &self.from
        } else {
            &self.written_reply_to
        }
    }
}

/// Sets `slot` to the field's value, if it is the first and fits.
fn keep(slot: &mut Option<Bytes>, field: &header::Field<'_>, budget: &mut usize) {
    if slot.is_some() {
        return;
    }
    let value = field.unfolded();
    if let Some(left) = budget.checked_sub(value.len()) {
        *budget = left;
        *slot = Some(Bytes::copy_from_slice(&value));
    }
}

/// One element of an IMAP address list (RFC 9051 §7.5.2). A group opens with an
/// element that has a mailbox (the group's name) and no host, and closes with
/// one that has neither. An address without a domain has an empty host, so that
/// it is not taken for a group.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Address {
    /// The display name.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub name: Option<Bytes>,
    /// The source route (at-domain-list), obsolete.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub adl: Option<Bytes>,
    /// The local part, or the name of the group that opens here.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub mailbox: Option<Bytes>,
    /// The domain.
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub host: Option<Bytes>,
}

impl Address {
    /// Whether a group opens here.
    pub fn opens_group(&self) -> bool {
        self.host.is_none() && self.mailbox.is_some()
    }

    /// Whether a group closes here.
    pub fn closes_group(&self) -> bool {
        self.host.is_none() && self.mailbox.is_none()
    }
}
