//! What a domain promises about the TLS of its mail servers by MTA-STS
//! (RFC 8461): discovery, fetching and the rules of the cache.
//!
//! Keeps no policy itself: they lie behind [`PolicyCache`]. Holds no connection
//! to a mail server to one: [`Policy::permits`] is for whoever opens it.

mod fetch;
mod policy;
mod record;
mod settings;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use postrider_types::{DomainName, Millis};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::{Error, Resolver, SetupError};
use fetch::Fetcher;
pub use policy::{Mode, Pattern, PatternError, Policy, PolicyError};
pub use settings::Settings;

/// How many domains are remembered: whose policy is fetched, or could not be, and what
/// their records said.
const DOMAINS: usize = 4096;

/// A policy is fetched again in good time, so that it does not run out while its
/// server is away (RFC 8461 §3.3, §10.2).
const REFRESH: Duration = Duration::from_secs(86_400);

/// Where policies are kept between deliveries.
#[async_trait]
pub trait PolicyCache: Send + Sync {
    /// The policy kept for `domain`, run out or not. The error says why nobody
    /// knows; mail to the domain then waits.
    async fn load(&self, domain: &DomainName) -> Result<Option<CachedPolicy>, String>;

    /// Keeps `policy` for `domain`, in the place of any other: it is what
    /// [`Self::load`] gives then. One that cannot be kept now is fetched again the next
    /// time.
    async fn store(&self, domain: &DomainName, policy: &CachedPolicy);
}

/// A policy, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedPolicy {
    /// The id of the domain's TXT record when it was fetched.
    pub id: String,
    /// What the domain promises.
    pub policy: Policy,
    /// When it was fetched.
    pub fetched: Millis,
    /// When it is worth nothing any more.
    pub expires: Millis,
}

impl CachedPolicy {
    /// Whether it ought to be fetched again although it is valid.
    fn is_old(&self, now: Millis) -> bool {
        let life = self.expires.since(self.fetched);
        now.since(self.fetched) >= REFRESH.min(life / 2)
    }
}

/// What is known about a domain's policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The valid policy. Its mode may be [`Mode::None`], which demands nothing.
    pub policy: Option<CachedPolicy>,
    /// What went wrong while it was looked for; a policy kept from earlier is
    /// valid all the same.
    pub problem: Option<Problem>,
}

/// Why there is no new policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind it is.
    pub kind: ProblemKind,
    /// What is wrong.
    pub text: String,
}

/// What kind of problem a policy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// It could not be fetched.
    Fetch,
    /// The policy server's certificate is not valid.
    Certificate,
    /// What was fetched is no policy.
    Invalid,
}

impl ProblemKind {
    /// The result type in a TLS report (RFC 8460 §4.3.2.2).
    pub fn result_type(self) -> &'static str {
        match self {
            Self::Fetch => "sts-policy-fetch-error",
            Self::Certificate => "sts-webpki-invalid",
            Self::Invalid => "sts-policy-invalid",
        }
    }
}

impl Problem {
    fn new(kind: ProblemKind, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { kind, text }
    }
}

/// Finds policies. Cheap to clone.
#[derive(Clone)]
pub struct Sts(Arc<Inner>);

struct Inner {
    resolver: Resolver,
    fetcher: Fetcher,
    retry_pause: Duration,
    failures: Cache<DomainName, Failed>,
    seen: Cache<DomainName, Seen>,
    /// Held by whoever fetches.
    turns: Cache<DomainName, Arc<Mutex<()>>>,
}

/// A fetch that failed, not to be repeated at once.
#[derive(Clone)]
struct Failed {
    id: String,
    at: Millis,
    problem: Problem,
}

/// The id that a domain's record has here.
#[derive(Clone)]
struct Seen {
    id: String,
    /// When the policy was fetched that was kept as the id was first seen.
    kept: Option<Millis>,
}

impl Sts {
    /// Reads the settings' file of authorities, if any.
    pub fn new(resolver: Resolver, settings: &Settings) -> Result<Self, SetupError> {
        Ok(Self(Arc::new(Inner {
            fetcher: Fetcher::new(settings)?,
            resolver,
            retry_pause: settings.retry_pause,
            failures: Cache::new(DOMAINS),
            seen: Cache::new(DOMAINS),
            turns: Cache::new(DOMAINS),
        })))
    }

    /// Finds the policy of `domain` that is valid at `now`, in `cache` or at the
    /// domain's policy server.
    ///
    /// Fails only where `cache` does: without it nobody knows whether the domain
    /// was promised to be secure.
    pub async fn policy(
        &self,
        domain: &DomainName,
        cache: &dyn PolicyCache,
        now: Millis,
    ) -> Result<Discovery, Error> {
        let kept = kept(domain, cache, now).await?;
        // RFC 8461 §3.1, §5.1: without a record, or where it cannot be asked for,
        // a policy kept from earlier stays valid until it runs out.
        let id = match self.id(domain).await {
            Ok(Some(id)) => id,
            Ok(None) => return Ok(discovery(kept, None)),
            Err(problem) => return Ok(discovery(kept, Some(problem))),
        };
        let seen = self.seen(domain, &id, kept.as_ref());
        if kept.as_ref().is_some_and(|kept| seen.has(kept, now)) {
            return Ok(discovery(kept, None));
        }
        self.renew(domain, cache, now, seen).await
    }

    /// Fetches the policy, unless somebody else has done so meanwhile.
    async fn renew(
        &self,
        domain: &DomainName,
        cache: &dyn PolicyCache,
        now: Millis,
        seen: Seen,
    ) -> Result<Discovery, Error> {
        // Many connections to a domain may be made at the same time.
        let turn = self.turn(domain);
        let _turn = turn.lock().await;
        let kept = kept(domain, cache, now).await?;
        if kept.as_ref().is_some_and(|kept| seen.has(kept, now)) {
            return Ok(discovery(kept, None));
        }
        let id = seen.id;
        if let Some(problem) = self.failed_lately(domain, &id, now) {
            return Ok(discovery(kept, Some(problem)));
        }
        match self.fetch(domain, &id, now).await {
            Ok(new) => {
                cache.store(domain, &new).await;
                Ok(discovery(Some(new), None))
            }
            Err(problem) => {
                tracing::info!(%domain, problem = problem.text, "no MTA-STS policy fetched");
                let failed = Failed {
                    id,
                    at: now,
                    problem: problem.clone(),
                };
                self.0.failures.insert(domain.clone(), failed);
                Ok(discovery(kept, Some(problem)))
            }
        }
    }

    /// The id in the domain's TXT record; none where it has none.
    async fn id(&self, domain: &DomainName) -> Result<Option<String>, Problem> {
        let name = format!("_mta-sts.{domain}");
        let texts = self.0.resolver.texts(&name).await;
        let texts = texts.map_err(|e| Problem::new(ProblemKind::Fetch, e.text()))?;
        Ok(record::id(&texts).map(str::to_owned))
    }

    fn turn(&self, domain: &DomainName) -> Arc<Mutex<()>> {
        let new = || Ok::<_, Infallible>(Arc::default());
        let Ok(turn) = self.0.turns.get_or_insert_with(domain, new);
        turn
    }

    /// What is known of `id`, which the domain's record has now.
    fn seen(&self, domain: &DomainName, id: &str, kept: Option<&CachedPolicy>) -> Seen {
        let before = self.0.seen.get(domain).filter(|seen| seen.id == id);
        before.unwrap_or_else(|| {
            let new = Seen {
                id: id.to_owned(),
                kept: kept.map(|kept| kept.fetched),
            };
            self.0.seen.insert(domain.clone(), new.clone());
            new
        })
    }

    async fn fetch(
        &self,
        domain: &DomainName,
        id: &str,
        now: Millis,
    ) -> Result<CachedPolicy, Problem> {
        let text = self.0.fetcher.fetch(&self.0.resolver, domain).await?;
        let policy = Policy::parse(&text).map_err(|e| {
            let text = format!("the policy of {domain} is not valid: {e}");
            Problem::new(ProblemKind::Invalid, text)
        })?;
        Ok(CachedPolicy {
            id: id.to_owned(),
            fetched: now,
            expires: now.after(policy.max_age()),
            policy,
        })
    }

    /// The problem of a fetch so short ago that another would burden the policy
    /// server for nothing (RFC 8461 §3.3). A new id is a reason to try at once.
    fn failed_lately(&self, domain: &DomainName, id: &str, now: Millis) -> Option<Problem> {
        let failed = self.0.failures.get(domain)?;
        let lately = failed.id == id && now < failed.at.after(self.0.retry_pause);
        lately.then_some(failed.problem)
    }
}

impl Seen {
    /// Whether nothing newer than `kept` is to be expected. What another node has fetched
    /// since the id was first seen here is no older, whatever record its resolver holds:
    /// two that hold different ones would otherwise fetch by turns.
    fn has(&self, kept: &CachedPolicy, now: Millis) -> bool {
        let same = kept.id == self.id || self.kept != Some(kept.fetched);
        same && !kept.is_old(now)
    }
}

/// The policy kept for `domain` that is valid at `now`.
async fn kept(
    domain: &DomainName,
    cache: &dyn PolicyCache,
    now: Millis,
) -> Result<Option<CachedPolicy>, Error> {
    let kept = cache.load(domain).await.map_err(|reason| {
        Error::dns(format!(
            "cannot tell whether {domain} demands TLS (MTA-STS): {reason}"
        ))
    })?;
    Ok(kept.filter(|kept| now < kept.expires))
}

fn discovery(policy: Option<CachedPolicy>, problem: Option<Problem>) -> Discovery {
    Discovery { policy, problem }
}
