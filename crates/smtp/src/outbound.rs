//! [`Outbound`]: what sessions need to know of the queue of outbound mail.

use std::sync::Arc;
use std::time::Duration;

use postrider_notice::Notices;
use postrider_proto::smtp::SrsKey;

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
