//! [`Server`]: one server behind this one, and the few connections on which it is
//! asked.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_meta::Relay;
use postrider_relay::{Connection, Reply};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use super::Silence;
use crate::line::reach;
use crate::plan::{Planner, TlsWish};

/// How long a connection is kept for another question.
const KEEP: Duration = Duration::from_secs(10);
/// The most refusals over one connection: servers slow down, or close, where they
/// have refused many recipients in a row.
const MAX_REFUSALS: u32 = 5;
/// The most questions over one connection.
const MAX_QUESTIONS: u32 = 100;
/// Addresses that are tried for one connection.
const MAX_TRIES: usize = 3;
/// How long a server that cannot be reached is not tried again: others that wait
/// hear so at once.
const REST: Duration = Duration::from_secs(5);

/// A server and the connections to it.
pub(super) struct Server {
    pub(super) relay: Arc<Relay>,
    /// Questions that may still be asked at once.
    slots: Semaphore,
    pool: Mutex<Pool>,
    /// Until when it is not tried, and why.
    rest: Mutex<Option<(Instant, Silence)>>,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Idle>,
    /// Somebody closes what is kept too long.
    watched: bool,
}

/// A connection that waits for another question.
struct Idle {
    connection: Connection,
    since: Instant,
    questions: u32,
    refusals: u32,
}

impl Server {
    pub(super) fn new(relay: &Relay, connections: usize) -> Self {
        Self {
            relay: Arc::new(relay.clone()),
            slots: Semaphore::new(connections),
            pool: Mutex::default(),
            rest: Mutex::new(None),
        }
    }

    /// Why it is not tried now.
    pub(super) fn rests(&self) -> Option<Silence> {
        let rest = self.rest.lock();
        let (until, why) = rest.as_ref()?;
        (*until > Instant::now()).then(|| why.clone())
    }

    /// It is not tried for a while.
    pub(super) fn rest(&self, why: &Silence) {
        *self.rest.lock() = Some((Instant::now() + REST, why.clone()));
    }

    /// The right to ask, when it is one's turn.
    pub(super) async fn slot(&self) -> Result<SemaphorePermit<'_>, Silence> {
        let slot = self.slots.acquire().await;
        slot.map_err(|_| Silence::once("this node is stopping"))
    }

    /// Its reply to RCPT for `address`.
    pub(super) async fn ask(
        self: &Arc<Self>,
        planner: &Planner,
        address: &str,
        _slot: SemaphorePermit<'_>,
    ) -> Result<Reply, Silence> {
        if let Some(mut idle) = self.take_idle() {
            // It may have been closed meanwhile, or for what was asked before.
            if let Ok(reply) = idle.connection.ask_recipient(address).await
                && reply.code != 421
            {
                self.keep(idle, &reply);
                return Ok(reply);
            }
        }
        let mut connection = self.open(planner).await?;
        let asked = connection.ask_recipient(address).await;
        let reply = asked.map_err(|failure| Silence::once(failure.to_string()))?;
        let idle = Idle {
            connection,
            since: Instant::now(),
            questions: 0,
            refusals: 0,
        };
        self.keep(idle, &reply);
        Ok(reply)
    }

    async fn open(&self, planner: &Planner) -> Result<Connection, Silence> {
        let steps = planner.to_relay(&self.relay, TlsWish::Usual).await;
        let mut steps = steps.map_err(|trouble| Silence::of_all(trouble.line()))?;
        steps.truncate(MAX_TRIES);
        match reach(planner, steps, TlsWish::Usual).await {
            Ok(way) => Ok(way.connection),
            Err(trouble) => Err(Silence::of_all(trouble.reply.unwrap_or(trouble.text))),
        }
    }

    /// A connection that is still good.
    fn take_idle(&self) -> Option<Idle> {
        let mut pool = self.pool.lock();
        while let Some(idle) = pool.idle.pop() {
            if idle.since.elapsed() < KEEP && idle.connection.is_usable() {
                return Some(idle);
            }
        }
        None
    }

    /// Keeps a connection for the next question, for a while.
    fn keep(self: &Arc<Self>, mut idle: Idle, reply: &Reply) {
        idle.since = Instant::now();
        idle.questions += 1;
        idle.refusals += u32::from(!reply.is_positive());
        let spent = idle.refusals >= MAX_REFUSALS || idle.questions >= MAX_QUESTIONS;
        if spent || !idle.connection.is_usable() {
            tokio::spawn(idle.connection.quit());
            return;
        }
        let mut pool = self.pool.lock();
        pool.idle.push(idle);
        if !pool.watched {
            pool.watched = true;
            tokio::spawn(Arc::clone(self).watch());
        }
    }

    /// Closes connections that nobody has used for a while, until there are none.
    async fn watch(self: Arc<Self>) {
        loop {
            sleep(KEEP / 4).await;
            let old: Vec<Idle> = {
                let mut pool = self.pool.lock();
                let old = pool
                    .idle
                    .extract_if(.., |idle| idle.since.elapsed() >= KEEP);
                let old = old.collect();
                if pool.idle.is_empty() {
                    pool.watched = false;
                }
                old
            };
            let over = !self.pool.lock().watched;
            for idle in old {
                tokio::spawn(idle.connection.quit());
            }
            if over {
                return;
            }
        }
    }
}
