//! [`Policies`]: the MTA-STS policies of other domains, kept in the metadata, so
//! that one node fetches for all.

use async_trait::async_trait;
use postrider_meta::command::PutPolicy;
use postrider_meta::{Client, ReadAt, StsPolicy, Token, query};
use postrider_route::sts::{CachedPolicy, PolicyCache};
use postrider_types::DomainName;

/// The cache of policies.
pub(crate) struct Policies {
    pub(crate) meta: Client,
    /// What was kept up to this state is not missed.
    pub(crate) at: Token,
}

#[async_trait]
impl PolicyCache for Policies {
    async fn load(&self, domain: &DomainName) -> Result<Option<CachedPolicy>, String> {
        let question = query::StsPolicy {
            domain: domain.clone(),
        };
        // A policy that another node is just putting here may be missed: then it is
        // fetched once more.
        let answer = self.meta.ask(question, ReadAt::AtLeast(self.at)).await;
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
        match self.meta.run(put).await {
            Ok((Ok(()), _)) => {}
            Ok((Err(refusal), _)) => tracing::warn!(%domain, %refusal, "a policy is not kept"),
            Err(error) => tracing::debug!(%domain, %error, "a policy is not kept"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::StreamExt as _;
    use postrider_meta::memory::Memory;
    use postrider_meta::{Answer, Changes, Command, Error, Executed, Meta, Query};
    use postrider_route::sts::Policy;
    use postrider_types::{AccountId, Clock, CommandId, Millis, Random};

    use super::*;

    /// A clock that stands, and no chance.
    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Millis {
            Millis(1)
        }
    }

    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(1);
        }
    }

    /// Two copies of the metadata, of which one has missed everything and answers
    /// whoever takes an old state.
    struct Copies {
        behind: Arc<Memory>,
        ahead: Arc<Memory>,
    }

    #[async_trait]
    impl Meta for Copies {
        async fn execute(&self, id: CommandId, command: Command) -> Result<Executed, Error> {
            self.ahead.execute(id, command).await
        }

        async fn query(&self, query: Query, at: ReadAt) -> Result<(Answer, Token), Error> {
            match at {
                ReadAt::AtLeast(Token(0)) => self.behind.query(query, at).await,
                _ => self.ahead.query(query, at).await,
            }
        }

        fn watch(&self, _: AccountId) -> Changes {
            futures::stream::empty().boxed()
        }
    }

    #[tokio::test]
    async fn a_copy_that_is_behind_hides_no_policy() {
        let [behind, ahead] = [(); 2].map(|()| Memory::new(Arc::new(Fixed)));
        let copies = Arc::new(Copies { behind, ahead });
        let meta = Client::new(copies, Arc::new(Fixed), Arc::new(Fixed));
        let at = |at| Policies {
            meta: meta.clone(),
            at: Token(at),
        };
        let text = "version: STSv1\nmode: enforce\nmx: mx.test\nmax_age: 60\n";
        let policy = CachedPolicy {
            id: "1".into(),
            policy: Policy::parse(text).unwrap(),
            fetched: Millis(1),
            expires: Millis(60_001),
        };
        let domain = DomainName::parse("outside.test").unwrap();
        at(0).store(&domain, &policy).await;
        assert_eq!(at(1).load(&domain).await, Ok(Some(policy)));
        assert_eq!(at(0).load(&domain).await, Ok(None));
    }
}
