//! [`Policies`]: the MTA-STS policies of other domains, kept in the metadata, so
//! that one node fetches for all.

use async_trait::async_trait;
use postrider_meta::command::PutPolicy;
use postrider_meta::{Client, ReadAt, StsPolicy, Token, query};
use postrider_route::sts::{CachedPolicy, PolicyCache};
use postrider_types::DomainName;

/// The cache of policies.
pub(crate) struct Policies(pub(crate) Client);

#[async_trait]
impl PolicyCache for Policies {
    async fn load(&self, domain: &DomainName) -> Result<Option<CachedPolicy>, String> {
        let question = query::StsPolicy {
            domain: domain.clone(),
        };
        // A policy that another node has just put here may be missed: then it is
        // fetched once more.
        let at_hand = ReadAt::AtLeast(Token(0));
        let answer = self.0.ask(question, at_hand).await;
        let (kept, _) = answer.map_err(|error| error.to_string())?;
        let Some(kept) = kept else { return Ok(None) };
        // One that cannot be read is as good as none.
        let policy = serde_json::from_str(&kept.text).ok();
        Ok(policy.map(|policy| CachedPolicy {
            id: kept.id,
            policy,
            fetched: kept.fetched,
            expires: kept.expires,
        }))
    }

    async fn store(&self, domain: &DomainName, policy: &CachedPolicy) {
        let text = match serde_json::to_string(&policy.policy) {
            Ok(text) => text,
            Err(error) => return tracing::warn!(%domain, %error, "a policy cannot be kept"),
        };
        let put = PutPolicy {
            domain: domain.clone(),
            policy: Some(StsPolicy {
                id: policy.id.clone(),
                text,
                fetched: policy.fetched,
                expires: policy.expires,
            }),
        };
        match self.0.run(put).await {
            Ok((Ok(()), _)) => {}
            Ok((Err(refusal), _)) => tracing::warn!(%domain, %refusal, "a policy is not kept"),
            Err(error) => tracing::debug!(%domain, %error, "a policy is not kept"),
        }
    }
}
