//! [`Client`]: the typed way to call a [`Meta`], with the clock and the randomness
//! that a session needs. The one place that decides to serve an old answer.

use std::sync::Arc;

use futures::future::{Either, select};
use postrider_types::{AccountId, Clock, CommandId, Random};

use crate::api::{Act, Answer, Ask, Changes, Error, Executed, Meta, Query, ReadAt, Refusal, Token};

/// An answer that may be an old one: what [`Client::read`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// What was asked for.
    pub answer: T,
    /// The state that it is from.
    pub token: Token,
    /// No majority could be asked: others may have been told of something newer.
    pub stale: bool,
}

/// Typed calls over a [`Meta`], with the clock and the randomness that command
/// ids come from. Cheap to clone: what sessions hold.
#[derive(Clone)]
pub struct Client {
    meta: Arc<dyn Meta>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    serves_stale: bool,
}

impl Client {
    /// A client of `meta`.
    pub fn new(meta: Arc<dyn Meta>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            meta,
            clock,
            random,
            serves_stale: false,
        }
    }

    /// The same, but without a majority [`Self::read`] answers what is known. For
    /// those who tell their clients so, and let them change nothing meanwhile.
    pub fn serving_stale(self) -> Self {
        Self {
            serves_stale: true,
            ..self
        }
    }

    /// Whether [`Self::read`] answers what is known at the moment.
    pub fn is_stale(&self) -> bool {
        self.serves_stale && self.meta.lacks_majority()
    }

    /// The clock, for everything in a session that needs the time.
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The randomness, for everything in a session that needs ids.
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// Executes `act` under a fresh id. Returns once the verdict is durable.
    pub async fn run<A: Act>(&self, act: A) -> Result<(Result<A::Outcome, Refusal>, Token), Error> {
        self.run_as(self.new_id(), act).await
    }

    /// An id for [`Self::run_as`].
    pub fn new_id(&self) -> CommandId {
        CommandId::new(self.clock.now(), &*self.random)
    }

    /// Executes `act` under `id`. After an error nobody knows whether it was applied:
    /// under the same id it may be sent again for up to five minutes, and is applied
    /// once.
    pub async fn run_as<A: Act>(
        &self,
        id: CommandId,
        act: A,
    ) -> Result<(Result<A::Outcome, Refusal>, Token), Error> {
        let Executed { verdict, token } = self.meta.execute(id, act.into()).await?;
        let verdict = match verdict {
            Ok(outcome) => Ok(A::outcome(outcome)
                .ok_or_else(|| Error::Failed("the outcome belongs to another command".into()))?),
            Err(refusal) => Err(refusal),
        };
        Ok((verdict, token))
    }

    /// Answers `ask`.
    pub async fn ask<A: Ask>(&self, ask: A, at: ReadAt) -> Result<(A::Answer, Token), Error> {
        let (answer, token) = self.meta.query(ask.into(), at).await?;
        let answer = A::answer(answer)
            .ok_or_else(|| Error::Failed("the answer belongs to another query".into()))?;
        Ok((answer, token))
    }

    /// Answers `ask` at `at`; while [`Self::is_stale`] from whatever state is known
    /// that has at least come to `own`, so that nobody sees less than before.
    pub async fn read<A: Ask>(
        &self,
        ask: A,
        at: ReadAt,
        own: Token,
    ) -> Result<Read<A::Answer>, Error> {
        let query = ask.into();
        let (answered, stale) = match (self.serves_stale, at) {
            (true, ReadAt::Latest) => self.latest_or_known(query, own).await,
            _ => (self.meta.query(query, at).await, false),
        };
        let (answer, token) = answered?;
        let answer = A::answer(answer)
            .ok_or_else(|| Error::Failed("the answer belongs to another query".into()))?;
        Ok(Read {
            answer,
            token,
            stale,
        })
    }

    async fn latest_or_known(
        &self,
        query: Query,
        own: Token,
    ) -> (Result<(Answer, Token), Error>, bool) {
        if !self.meta.lacks_majority() {
            let latest = self.meta.query(query.clone(), ReadAt::Latest);
            match select(latest, self.meta.majority_lost()).await {
                Either::Left((answered, _)) => return (answered, false),
                Either::Right(((), _)) => {}
            }
        }
        let known = self.meta.query(query, ReadAt::AtLeast(own)).await;
        (known, true)
    }

    /// Hints about changes of `account`, from now on.
    pub fn watch(&self, account: AccountId) -> Changes {
        self.meta.watch(account)
    }
}
