//! [`Policies`]: the MTA-STS policies of other domains, kept in the metadata, so
//! that one node fetches for all.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use postrider_meta::command::PutPolicy;
use postrider_meta::{Client, ReadAt, StsPolicy, Token, query};
use postrider_route::sts::{CachedPolicy, PolicyCache};
use postrider_types::DomainName;

/// The policies of all domains.
pub(crate) struct Policies {
    meta: Client,
    /// A state that has all that this node has put here.
    own: AtomicU64,
}

/// The same as the metadata have them at a state or later.
pub(crate) struct Since<'a> {
    policies: &'a Policies,
    token: Token,
}

impl Policies {
    pub(crate) fn new(meta: Client) -> Self {
        let own = AtomicU64::new(0);
        Self { meta, own }
    }

    /// None that was put here up to `token` is missed.
    pub(crate) fn since(&self, token: Token) -> Since<'_> {
        let policies = self;
        Since { policies, token }
    }
}

#[async_trait]
impl PolicyCache for Since<'_> {
    async fn load(&self, domain: &DomainName) -> Result<Option<CachedPolicy>, String> {
        let question = query::StsPolicy {
            domain: domain.clone(),
        };
        // A policy that another node is just putting here may be missed: then it is
        // fetched once more.
        let own = Token(self.policies.own.load(Ordering::SeqCst));
        let at = ReadAt::AtLeast(self.token.max(own));
        let answer = self.policies.meta.ask(question, at).await;
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
        match self.policies.meta.run(put).await {
            Ok((Ok(()), token)) => {
                self.policies.own.fetch_max(token.0, Ordering::SeqCst);
            }
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
        let [one, other] = [(); 2].map(|()| Policies::new(meta.clone()));
        let text = "version: STSv1\nmode: enforce\nmx: mx.test\nmax_age: 60\n";
        let policy = CachedPolicy {
            id: "1".into(),
            policy: Policy::parse(text).unwrap(),
            fetched: Millis(1),
            expires: Millis(60_001),
        };
        let domain = DomainName::parse("outside.test").unwrap();
        one.since(Token(0)).store(&domain, &policy).await;
        let behind = other.since(Token(0)).load(&domain).await;
        assert_eq!(behind, Ok(None));
        let policy = Ok(Some(policy));
        assert_eq!(other.since(Token(1)).load(&domain).await, policy);
        assert_eq!(one.since(Token(0)).load(&domain).await, policy);
    }
}
