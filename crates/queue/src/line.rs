//! [`Line`]: a connection to a host of a destination, found by trying what the
//! plan says in its order.

use std::time::Duration;

use postrider_meta::QueuedView;
use postrider_relay::{Connection, Failure, Kind, Reached, Reply, Security, TlsCause};
use postrider_types::EnhancedStatus;
use tokio::time::timeout;

use crate::addresses::Slot;
use crate::courier::Shared;
use crate::hands::Held;
use crate::plan::{Planner, Step, TlsWish};
use crate::slots::Permit;
use crate::trouble::Trouble;

/// Addresses that are tried for one connection.
const MAX_TRIES: usize = 8;
/// How long one host is tried, at all its addresses, if no single time limit is longer:
/// each of its replies may come just in time.
const HOST_TIMEOUT: Duration = Duration::from_secs(300);

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
    permit: Permit,
    _slot: Option<Slot>,
}

impl Line {
    /// Connects to the first host that answers.
    pub(crate) async fn open(shared: &Shared, held: &Held) -> Result<Self, Trouble> {
        let entry = &held.entry;
        let wish = TlsWish::of(&entry.envelope);
        let steps = shared.planner.plan(&entry.destination, wish, held.token);
        let tries = tries(steps.await?);
        let open = tries.iter().flatten().any(|step| step.open);
        let permit = shared.slots.permit(&entry.destination, open, entry.bulk);
        let permit = permit.await?;
        let limit = HOST_TIMEOUT.max(shared.settings.client.greeting_timeout);
        let mut last = None;
        for host in tries {
            let slow = host.first().map(|step| too_slow(&step.peer.host, limit));
            match timeout(limit, reach(&shared.planner, host, wish)).await {
                Ok(Ok(way)) => {
                    return Ok(Self {
                        connection: way.connection,
                        host: way.host,
                        sent: 0,
                        throttled: false,
                        wish,
                        permit,
                        _slot: way.slot,
                    });
                }
                Ok(Err(next)) => last = Some(weigh(last, next)),
                Err(_) => last = slow.map(|next| weigh(last, next)),
            }
        }
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

    /// Its destination has taken a message.
    pub(crate) fn prove(&mut self) {
        self.permit.prove();
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

/// What is tried for one connection, host by host: each of them gets its share of the
/// tries, so that the backup's turn comes however many addresses the first host has. What
/// is left of the tries goes to further addresses, once all hosts were tried.
fn tries(steps: Vec<Step>) -> Vec<Vec<Step>> {
    let hosts = steps.chunk_by(|one, next| one.peer.host == next.peer.host);
    let mut hosts: Vec<Vec<Step>> = hosts.map(<[Step]>::to_vec).collect();
    let share = (MAX_TRIES / hosts.len().max(1)).max(1);
    let more: Vec<Vec<Step>> = hosts
        .iter_mut()
        .map(|host| host.split_off(share.min(host.len())))
        .collect();
    let mut left = MAX_TRIES;
    hosts.extend(more);
    for host in &mut hosts {
        host.truncate(left);
        left -= host.len();
    }
    hosts.retain(|host| !host.is_empty());
    hosts
}

fn too_slow(host: &str, limit: Duration) -> Trouble {
    let text = format!("not ready for a message within {} seconds", limit.as_secs());
    Trouble {
        host: Some(host.to_owned()),
        // RFC 3463 §3.5: 4.4.2, bad connection.
        ..Trouble::ours((4, 4, 2), text)
    }
}

fn nowhere() -> Trouble {
    Trouble::ours((4, 4, 1), "no host of the destination has an address")
}

/// A way to a host.
pub(crate) struct Way {
    pub(crate) connection: Connection,
    pub(crate) host: String,
    /// The right to it, where its address may have only so many.
    slot: Option<Slot>,
}

/// Connects to one host, at that of its addresses which answers first and is as secure as
/// it must be.
pub(crate) async fn reach(
    planner: &Planner,
    mut steps: Vec<Step>,
    wish: TlsWish,
) -> Result<Way, Trouble> {
    if let Some(first) = steps.first_mut() {
        planner.find(first);
    }
    let mut last = None;
    while !steps.is_empty() {
        let mut entrants = Vec::new();
        for step in steps {
            match slot(planner, &step) {
                Ok(slot) => entrants.push((step, slot)),
                Err(busy) => last = Some(weigh(last, busy)),
            }
        }
        let race = planner.connector.race(entrants, |(step, _)| &step.peer);
        let race = race.await;
        for ((step, _), failure) in race.failed {
            last = Some(weigh(last, met(&step, &failure, wish)));
        }
        // The slots of the others are free while the first is talked to.
        steps = race.left.into_iter().map(|(step, _)| step).collect();
        let Some(((step, slot), reached)) = race.first else {
            continue;
        };
        let next = match connect(planner, &step, reached).await {
            Ok(connection) => match lacks(&connection, &step, wish) {
                None => {
                    return Ok(Way {
                        connection,
                        host: step.peer.host,
                        slot,
                    });
                }
                Some(trouble) => {
                    connection.quit().await;
                    trouble
                }
            },
            Err(failure) => met(&step, &failure, wish),
        };
        last = Some(weigh(last, next));
    }
    Err(last.unwrap_or_else(nowhere))
}

/// The right to connect to a step's address, where that may have only so many connections.
fn slot(planner: &Planner, step: &Step) -> Result<Option<Slot>, Trouble> {
    if !step.open {
        return Ok(None);
    }
    let address = step.peer.address.ip();
    let slot = planner.addresses.slot(address);
    let busy = || Trouble {
        host: Some(step.peer.host.clone()),
        ..Trouble::busy(format!(
            "as many connections to {address} as may be are in use (queue.connections_per_address)"
        ))
    };
    slot.map(Some).ok_or_else(busy)
}

/// Which of two hosts' troubles is told. That there was no connection for one of them comes
/// first: it might have taken the message. Only when all refuse for good it is for good;
/// and what a host says weighs more than that another is silent.
fn weigh(last: Option<Trouble>, next: Trouble) -> Trouble {
    let rank = |trouble: &Trouble| (trouble.busy, !trouble.permanent, trouble.reply.is_some());
    match last {
        Some(last) if rank(&last) > rank(&next) => last,
        _ => next,
    }
}

/// What a host lacks of what the sender requires: another may have it (RFC 8689 §4.2.1).
fn lacks(connection: &Connection, step: &Step, wish: TlsWish) -> Option<Trouble> {
    if wish != TlsWish::Required || connection.capabilities().require_tls {
        return None;
    }
    let text = "the sender requires TLS all the way, and the server does not offer REQUIRETLS";
    Some(Trouble {
        host: Some(step.peer.host.clone()),
        ..Trouble::ours((5, 7, 30), text)
    })
}

/// Why a host is of no use.
fn met(step: &Step, failure: &Failure, wish: TlsWish) -> Trouble {
    tracing::debug!(host = step.peer.host, address = %step.peer.address, %failure, "no connection");
    let met = Trouble::met(&step.peer.host, failure);
    let Some(cause) = failure.tls.filter(|_| wish == TlsWish::Required) else {
        return met;
    };
    // RFC 8689 §4.2.1: who insists on TLS hears at once that it is not to be had. What may
    // have broken on the way is tried again.
    let busy = failure.reply.as_ref().is_some_and(Reply::is_transient);
    let permanent = cause != TlsCause::Other && !busy;
    let class = if permanent { 5 } else { 4 };
    Trouble {
        permanent,
        status: EnhancedStatus(class, 7, 10),
        ..met
    }
}

/// Connects to one host as far as its step asks for.
async fn connect(planner: &Planner, step: &Step, reached: Reached) -> Result<Connection, Failure> {
    let connector = &planner.connector;
    let login = step.login.as_ref();
    let opened = connector.open_over(reached, &step.peer, &step.security, login);
    let opened = opened.await;
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use postrider_relay::Peer;

    use super::*;

    /// Steps to hosts with so many addresses each.
    fn steps(hosts: &[u8]) -> Vec<Step> {
        let numbered = (0u8..).zip(hosts);
        let pairs = numbered.flat_map(|(host, count)| (0..*count).map(move |at| (host, at)));
        let step = |(host, at): (u8, u8)| Step {
            peer: Peer {
                host: format!("mx{host}.test"),
                address: SocketAddr::from(([192, 0, host, at], 25)),
                source: None,
                implicit_tls: false,
            },
            security: Security::Opportunistic,
            login: None,
            lenient: false,
            policy: None,
            findings: Vec::new(),
            domain: None,
            open: true,
        };
        pairs.map(step).collect()
    }

    #[test]
    fn each_host_gets_its_share_of_the_tries() {
        let counts = |hosts: &[u8]| {
            let tries = tries(steps(hosts));
            let count = |host: &Vec<Step>| (host[0].peer.host.clone(), host.len());
            let counts: Vec<_> = tries.iter().map(count).collect();
            let shown = counts.iter().map(|(host, count)| format!("{host} {count}"));
            shown.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(counts(&[]), "");
        assert_eq!(counts(&[9]), "mx0.test 8");
        assert_eq!(counts(&[9, 1]), "mx0.test 4, mx1.test 1, mx0.test 3");
        assert_eq!(
            counts(&[1, 9, 2]),
            "mx0.test 1, mx1.test 2, mx2.test 2, mx1.test 3"
        );
        assert_eq!(counts(&[2; 9]).matches("test 1").count(), 8);
    }

    #[test]
    fn all_hosts_must_refuse_for_good_and_words_weigh_more_than_silence() {
        let trouble = |class, reply: Option<&str>| Trouble {
            reply: reply.map(str::to_owned),
            ..Trouble::ours((class, 0, 0), "no")
        };
        let silent = || trouble(4, None);
        let busy = || trouble(4, Some("421 later"));
        let no = || trouble(5, Some("554 no"));
        let lacking = || trouble(5, None);
        let full = || Trouble::busy("no connection");
        for (one, other, told) in [
            (silent(), busy(), busy()),
            (no(), silent(), silent()),
            (no(), busy(), busy()),
            (lacking(), no(), no()),
            (lacking(), silent(), silent()),
            (full(), busy(), full()),
            (no(), full(), full()),
        ] {
            assert_eq!(weigh(Some(one.clone()), other.clone()), told);
            assert_eq!(weigh(Some(other), one), told);
        }
    }
}
