//! Answers [`super::enter`] on a node with metadata: a join token for whoever has the
//! preset join secret. Strangers cost a hash and leave nothing behind.

use std::time::Duration;

use postrider_meta::{Client, ReadAt, Refusal, command, query};
use postrider_rpc::proto::{InviteReply, InviteRequest};
use postrider_rpc::{Authority, Failure, JoinSecret};

/// How long such a token is good: it is used at once.
const AGE: Duration = Duration::from_secs(600);

/// Lets nodes with the secret have tokens.
pub(crate) struct Invitations {
    /// None where this node's settings have none.
    pub(crate) secret: Option<JoinSecret>,
    pub(crate) meta: Client,
}

impl Invitations {
    /// The answer to `request`; `members`: whom the new node may turn to.
    pub(crate) async fn invite(
        &self,
        request: &InviteRequest,
        members: Vec<String>,
    ) -> Result<InviteReply, Failure> {
        let failed = |text: &str| Failure::Failed(text.to_owned());
        let secret = self.secret.as_ref().ok_or_else(|| {
            failed("this node has no cluster.join_secret_file: set it on all nodes")
        })?;
        let now = self.meta.clock().now();
        secret.check(request, now.0).map_err(|reason| {
            tracing::warn!(reason, "a node was given no join token");
            failed(reason)
        })?;
        let unavailable = |error: postrider_meta::Error| Failure::Unavailable(error.to_string());
        let authority = self.meta.ask(query::Authority {}, ReadAt::Latest).await;
        let (authority, _) = authority.map_err(unavailable)?;
        let authority = authority.ok_or_else(|| failed("the metadata know no cluster"))?;
        let authority = Authority::from_pem(&authority.certificate, &authority.key)
            .map_err(|error| failed(&error.to_string()))?;
        let token = authority.token(secret.token_secret(request), members);
        let issue = command::IssueToken {
            hash: token.hash(),
            expires: now.after(AGE),
            uses: 1,
        };
        match self.meta.run(issue).await.map_err(unavailable)?.0 {
            // The same request again.
            Ok(()) | Err(Refusal::Exists(_)) => {}
            Err(refusal) => return Err(failed(&refusal.to_string())),
        }
        tracing::info!(
            address = request.address,
            "gave a join token by the join secret"
        );
        Ok(secret.answer(request, &token))
    }
}
