//! Notices to senders (RFC 3461, RFC 3464): what is to be told becomes a message
//! that is ready to be accepted like any other.
//!
//! Owns the way from the facts to the [`Accept`]: a body is written, and the sender
//! sought here or elsewhere. Whom to tell what is decided by those who know what
//! became of the message: `smtp` when it arrives, `queue` later on. Text and form are
//! `message::report`'s.

mod address;
mod write;

pub use address::{delivery, destinations};

use std::time::Duration;

use bytes::Bytes;
use postrider_body::{Bodies, Error as BodyError, Reader};
use postrider_message::report;
use postrider_meta::Client;
use postrider_meta::command::Accept;
use postrider_proto::smtp::SrsKey;
use postrider_types::{Address, BodyId, Millis, NodeId};

/// Makes notices. Cheap to clone.
#[derive(Clone)]
pub struct Notices {
    /// The metadata.
    pub meta: Client,
    /// The message bodies.
    pub bodies: Bodies,
    /// This node, in a cluster: for the history of messages.
    pub node: Option<NodeId>,
    /// This host's name: in notices and in their sender.
    pub hostname: String,
    /// The key of forwarded senders, the same on all nodes.
    pub srs: SrsKey,
    /// Who gets the bounces of a mailing list that has no owner, where its domain has
    /// no postmaster.
    pub postmaster: Option<Address>,
    /// How long a message is tried before it goes back to its sender. A notice is
    /// tried for up to two days of that.
    pub lifetime: Duration,
}

/// The message that a notice is about.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// Its body: for the history of the notice.
    pub body: BodyId,
    /// Its sender, who is told; not empty, since nobody is told of a notice
    /// (RFC 5321 §6.1).
    pub reverse_path: &'a str,
    /// The sender's id of the envelope (ENVID), decoded.
    pub envelope_id: Option<&'a str>,
    /// It was sent with SMTPUTF8.
    pub smtp_utf8: bool,
    /// It was sent with REQUIRETLS.
    pub require_tls: bool,
    /// Its sender is local, logged in or in a trusted network, so that the notice comes
    /// from inside: others may have named whomever they like.
    pub own: bool,
    /// The notice is delivered beyond a quota: there is no other word of what it tells.
    pub overdraft: bool,
    /// When it arrived.
    pub arrival: Millis,
    /// Its raw header, as far as it is at hand.
    pub header: &'a [u8],
}

/// A message that goes back as a whole.
pub struct Original {
    /// Header fields that precede the body.
    pub prefix: Bytes,
    /// The body.
    pub body: Reader,
}

/// Why a notice cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A body cannot be read or written.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The metadata does not answer.
    #[error(transparent)]
    Meta(#[from] postrider_meta::Error),
    /// Nobody takes mail for the sender: making it again is in vain.
    #[error("{0}")]
    Sender(String),
}

impl Notices {
    /// A notice at `now` about what became of a message for `recipients`, at least
    /// one. Brings the header back, or all of the `original`.
    pub async fn make(
        &self,
        about: &About<'_>,
        recipients: &[report::Recipient<'_>],
        original: Option<Original>,
        now: Millis,
    ) -> Result<Accept, Error> {
        let body = self.write(about, recipients, original, now).await?;
        self.address(about, body, now).await
    }
}
