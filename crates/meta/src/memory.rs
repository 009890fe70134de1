//! [`Meta`] in memory: the same functions as every backend over the memory
//! engine, one command at a time. For tests; keeps nothing.

use std::sync::Arc;

use async_trait::async_trait;
use futures::lock::Mutex;
use postrider_kv::memory::{Engine, Snapshot};
use postrider_kv::{self as kv, Buffered};
use postrider_types::{AccountId, Clock, CommandId};

use crate::api::{Answer, Changes, Command, Context, Error, Executed, Meta, Query, ReadAt, Token};
use crate::{Watchers, check_consistency, evaluate, query, version};

/// The store.
pub struct Memory {
    engine: Engine,
    clock: Arc<dyn Clock>,
    /// Batches applied so far. Held while a command runs: one at a time.
    applied: Mutex<u64>,
    watchers: Watchers,
}

impl Memory {
    /// An empty store that takes the time from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            engine: Engine::new(),
            clock,
            applied: Mutex::new(0),
            watchers: Watchers::new(),
        })
    }

    /// The present state.
    pub fn snapshot(&self) -> Snapshot {
        self.engine.snapshot()
    }

    /// Hints to all who watch, as a store does that is in touch with others again.
    pub fn notify_all(&self) {
        self.watchers.notify_all();
    }

    /// What is wrong with the store: empty if nothing is.
    pub async fn check_consistency(&self) -> kv::Result<Vec<String>> {
        check_consistency(&self.snapshot()).await
    }
}

fn failed(error: kv::Error) -> Error {
    Error::Failed(error.to_string())
}

#[async_trait]
impl Meta for Memory {
    async fn execute(&self, id: CommandId, command: Command) -> Result<Executed, Error> {
        let mut applied = self.applied.lock().await;
        let mut txn = Buffered::new(self.engine.snapshot());
        let now = self.clock.now();
        let cx = Context {
            now,
            latest: now,
            id,
            version: version(&txn).await.map_err(failed)?,
        };
        let evaluated = evaluate(&mut txn, &cx, command).await.map_err(failed)?;
        let verdict = evaluated.verdict?;
        self.engine.apply(txn.into_ops().await.map_err(failed)?);
        *applied += 1;
        self.watchers.notify(&evaluated.accounts);
        Ok(Executed {
            verdict,
            token: Token(*applied),
        })
    }

    async fn query(&self, query: Query, _at: ReadAt) -> Result<(Answer, Token), Error> {
        let (snapshot, token) = {
            let applied = self.applied.lock().await;
            (self.engine.snapshot(), Token(*applied))
        };
        let answer = query::answer(&snapshot, query).await.map_err(failed)?;
        Ok((answer, token))
    }

    fn watch(&self, account: AccountId) -> Changes {
        self.watchers.watch(account)
    }
}
