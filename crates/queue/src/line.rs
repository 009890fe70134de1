//! [`Line`]: a connection to a host of a destination, found by trying what the
//! plan says in its order.

use postrider_meta::QueuedView;
use postrider_relay::{Connection, Failure, Kind, Phase, Security};
use postrider_types::EnhancedStatus;
use tokio::sync::{AcquireError, OwnedSemaphorePermit};

use crate::courier::Shared;
use crate::hands::Held;
use crate::plan::{Planner, Step, TlsWish};
use crate::trouble::Trouble;

/// Addresses that are tried for one connection.
const MAX_TRIES: usize = 8;

/// A connection to a destination.
pub(crate) struct Line {
    pub(crate) connection: Connection,
    host: String,
    /// Messages that were sent over it.
    sent: u32,
    /// The host asks for less.
    throttled: bool,
    /// What its security was made for.
    wish: TlsWish,
    _permits: (Option<OwnedSemaphorePermit>, OwnedSemaphorePermit),
}

impl Line {
    /// Connects to the first host that answers.
    pub(crate) async fn open(shared: &Shared, held: &Held) -> Result<Self, Trouble> {
        let entry = &held.entry;
        let wish = TlsWish::of(&entry.envelope);
        let steps = shared.planner.plan(&entry.destination, wish, held.token);
        let steps = steps.await?;
        let permits = permits(shared, entry.bulk).await;
        let permits = permits.map_err(|_| Trouble::ours((4, 3, 2), "this node is stopping"))?;
        let mut last: Option<Trouble> = None;
        for mut step in steps.into_iter().take(MAX_TRIES) {
            if let Some(domain) = &step.domain {
                let now = shared.handles.meta.clock().now();
                let findings = std::mem::take(&mut step.findings);
                shared.results.find(domain, findings, now);
            }
            match connect(&shared.planner, &step).await {
                Ok(connection) => {
                    return Ok(Self {
                        connection,
                        host: step.peer.host,
                        sent: 0,
                        throttled: false,
                        wish,
                        _permits: permits,
                    });
                }
                Err(failure) => {
                    tracing::debug!(host = step.peer.host, address = %step.peer.address, %failure, "no connection");
                    let next = met(&step, &failure, wish);
                    // What a host says weighs more than that another is silent, and
                    // only when all refuse for good it is for good.
                    last = Some(match last {
                        Some(last) if last.reply.is_some() && next.reply.is_none() => last,
                        Some(last) if !last.permanent && next.permanent => last,
                        _ => next,
                    });
                }
            }
        }
        let nowhere = || Trouble::ours((4, 4, 1), "no host of the destination has an address");
        Err(last.unwrap_or_else(nowhere))
    }

    /// The host at the other end.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Whether `entry` may go over it.
    pub(crate) fn suits(&self, entry: &QueuedView) -> bool {
        self.is_usable() && self.wish == TlsWish::of(&entry.envelope)
    }

    /// Notes a message; `throttled` if the host asked for less.
    pub(crate) fn note(&mut self, throttled: bool) {
        self.sent += 1;
        self.throttled |= throttled;
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.connection.is_usable()
    }

    pub(crate) fn is_throttled(&self) -> bool {
        self.throttled
    }

    /// Whether it has carried `most` messages, or is of no use any more.
    pub(crate) fn is_spent(&self, most: u32) -> bool {
        self.sent >= most || !self.is_usable()
    }

    pub(crate) async fn quit(self) {
        self.connection.quit().await;
    }
}

/// The right to one connection. What is in bulk does not take all that there are.
async fn permits(
    shared: &Shared,
    bulk: bool,
) -> Result<(Option<OwnedSemaphorePermit>, OwnedSemaphorePermit), AcquireError> {
    let own = match bulk {
        true => Some(shared.bulk_connections.clone().acquire_owned().await?),
        false => None,
    };
    Ok((own, shared.connections.clone().acquire_owned().await?))
}

/// Why a host is of no use.
fn met(step: &Step, failure: &Failure, wish: TlsWish) -> Trouble {
    let met = Trouble::met(&step.peer.host, failure);
    // RFC 8689 §4.2.1: a host that knows nothing of TLS does not relay it on either;
    // its sender would rather have the message back than wait.
    let offered_none = EnhancedStatus(4, 7, 4);
    let lacks_tls = failure.phase == Phase::StartTls && failure.status == offered_none;
    match wish == TlsWish::Required && lacks_tls {
        true => Trouble {
            permanent: true,
            status: EnhancedStatus(5, 7, 30),
            ..met
        },
        false => met,
    }
}

/// Connects to one host as far as its step asks for.
pub(crate) async fn connect(planner: &Planner, step: &Step) -> Result<Connection, Failure> {
    let connector = &planner.connector;
    let login = step.login.as_ref();
    let opened = connector.open(&step.peer, &step.security, login).await;
    planner.note(step, &opened);
    let mut security = &step.security;
    let opened = match opened {
        // RFC 8461 §5: as it would go without the policy.
        Err(failure) if failure.tls.is_some() && step.lenient => {
            tracing::info!(host = step.peer.host, %failure, "an MTA-STS policy under test is not met");
            security = &Security::Opportunistic;
            connector.open(&step.peer, security, login).await
        }
        other => other,
    };
    match opened {
        // Nobody insists on TLS: better in the clear than not at all (RFC 7435).
        Err(failure) if failure.is_handshake() && *security == Security::Opportunistic => {
            tracing::info!(host = step.peer.host, %failure, "TLS fails; going on without");
            connector.open(&step.peer, &Security::Plain, login).await
        }
        Err(mut failure) if failure.reply.is_none() => {
            // That a host cannot be talked to is never final.
            failure.kind = Kind::Temporary;
            Err(failure)
        }
        other => other,
    }
}
