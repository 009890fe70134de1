//! What is sent beside the content, and what becomes of it.

use postrider_proto::smtp::client::Reply;
use postrider_proto::smtp::{Notify, OriginalRecipient, Return};

/// The envelope of one message on its way to one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Where notices go, as `name@example.org`; None for `<>`.
    pub reverse_path: Option<String>,
    /// The recipients, at least one.
    pub recipients: Vec<Recipient>,
    /// The content has bytes beyond ASCII. It is sent to peers with 8BITMIME
    /// alone.
    pub eight_bit: bool,
    /// The header or the reverse-path is not ASCII. It is sent to peers with
    /// SMTPUTF8 alone.
    pub smtp_utf8: bool,
    /// What a failure notice returns; sent to peers with DSN.
    pub ret: Option<Return>,
    /// The sender's id of this envelope, in plain; sent to peers with DSN.
    pub envelope_id: Option<Box<str>>,
    /// The message may travel over verified TLS alone, to peers with REQUIRETLS
    /// (RFC 8689); one without a reverse-path does so where it can.
    pub require_tls: bool,
}

/// A recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipient {
    /// The address, as `name@example.org`, in quotes where it needs them. One
    /// that is not ASCII is sent to peers with SMTPUTF8 alone.
    pub path: String,
    /// When the sender wants a notice; sent to peers with DSN.
    pub notify: Option<Notify>,
    /// The recipient as the sender first wrote it; sent to peers with DSN.
    pub original: Option<OriginalRecipient>,
}

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The peer has taken the message over.
    Delivered(Reply),
    /// The peer will never take it. Also where the peer could not even be asked,
    /// for the address is not valid or needs SMTPUTF8: then the reply is one
    /// that was made here.
    Failed(Reply),
    /// The peer does not take it now.
    Deferred(Reply),
}

impl Verdict {
    /// The reply that decided.
    pub const fn reply(&self) -> &Reply {
        match self {
            Self::Delivered(reply) | Self::Failed(reply) | Self::Deferred(reply) => reply,
        }
    }

    /// What a reply with which the peer did not take the message means.
    pub(crate) fn refused(reply: Reply) -> Self {
        match reply.is_permanent() {
            true => Self::Failed(reply),
            false => Self::Deferred(reply),
        }
    }
}
