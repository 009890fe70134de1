//! [`Outbound`] and [`UnsubscribeLinks`]: what sessions need to know of the queue of
//! outbound mail, and of the way out of mailing lists.

use std::sync::Arc;
use std::time::Duration;

use postrider_notice::Notices;
use postrider_proto::smtp::{SrsKey, UnsubscribeKey};
use postrider_types::Address;

use crate::RecipientCheck;

/// How mail to other servers is queued. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    /// How long a message is tried before it goes back to its sender.
    pub lifetime: Duration,
    /// After this time the sender is told that a message is still waiting; None
    /// for never.
    pub warn_after: Option<Duration>,
    /// The key of forwarded senders, the same on all nodes.
    pub srs: SrsKey,
    /// Asks servers behind this one about recipients.
    pub gateway: Arc<dyn RecipientCheck>,
    /// Take mail for recipients about whom none of them can be asked.
    pub accept_unchecked: bool,
    /// Makes notices about what is delivered here.
    pub notices: Notices,
    /// Called when something was queued, so that it is sent at once.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

/// Where members of a mailing list take themselves out (RFC 8058).
#[derive(Clone, Debug)]
pub struct UnsubscribeLinks {
    /// The server that takes the links: `https://HOST`, no slash at the end.
    pub url: String,
    /// The key of their tokens, the same on all nodes.
    pub key: UnsubscribeKey,
}

impl UnsubscribeLinks {
    /// The link by which the entry `member` leaves `list`.
    pub(crate) fn link(&self, list: &Address, member: &Address) -> String {
        let token = self.key.token(&list.to_string(), &member.to_string());
        format!("{}/unsubscribe/{token}", self.url)
    }
}
