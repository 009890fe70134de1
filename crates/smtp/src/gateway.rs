//! [`RecipientCheck`]: what sessions need to know of servers behind this one.

use async_trait::async_trait;
use postrider_meta::Relay;
use postrider_proto::smtp::client::Reply;

/// Asks servers behind this one about recipients of their domains.
#[async_trait]
pub trait RecipientCheck: Send + Sync {
    /// What `relay` replies to RCPT for `address`, now or a while ago; an error says
    /// why it cannot be asked. Bounded in time.
    async fn check(&self, relay: &Relay, address: &str) -> Result<Reply, String>;
}
