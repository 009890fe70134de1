//! [`Check`]: the queue's gateway as SMTP sessions see it.

use async_trait::async_trait;
use postrider_meta::Relay;
use postrider_proto::smtp::client::Reply;
use postrider_queue::Gateway;
use postrider_smtp::RecipientCheck;

/// Asks servers behind this one about recipients, by the client of the queue.
pub(crate) struct Check(pub(crate) Gateway);

#[async_trait]
impl RecipientCheck for Check {
    async fn check(&self, relay: &Relay, address: &str) -> Result<Reply, String> {
        self.0.check(relay, address).await
    }
}
