//! The ENVELOPE of a message (RFC 9051 §7.5.2): raw strings as they stand in
//! the header, unfolded, encoded words left alone.

use bytes::Bytes;

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
