//! One connection's worth of work on one destination: entry after entry, over a
//! connection that is kept while more comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postrider_relay::{Failure, Phase};

use crate::courier::Shared;
use crate::delivery;
use crate::hands::{Held, Next};
use crate::line::Line;
use crate::plan::TlsWish;
use crate::settle::{Destination, Fate};
use crate::trouble::Trouble;

/// How long a connection is kept for another message.
const PATIENCE: Duration = Duration::from_secs(2);

/// Works on `destination` until nothing is left of it in hand.
pub(crate) async fn work(shared: Arc<Shared>, destination: String) {
    let mut line: Option<Line> = None;
    // Without a connection there is nothing to keep.
    loop {
        let patience = match line {
            Some(_) if !shared.slots.are_lacking() => PATIENCE,
            _ => Duration::ZERO,
        };
        let now = shared.handles.meta.clock().now();
        match shared.hands.next(&destination, patience, now).await {
            Next::Send(held) => serve(&shared, &mut line, held).await,
            Next::Tell(held) => shared.tell(&held).await,
            Next::Pause(until) => pause(&shared, &mut line, &destination, until).await,
            Next::End => break,
        }
        let most = shared.settings.messages_per_connection;
        if let Some(line) = line.take_if(|line| line.is_spent(most)) {
            line.quit().await;
        }
    }
    if let Some(line) = line {
        line.quit().await;
    }
}

/// Waits until more may be sent to `destination`.
async fn pause(shared: &Arc<Shared>, line: &mut Option<Line>, destination: &str, until: Instant) {
    // Neither the other server nor those who wait for a connection of this node are
    // to be kept waiting for nothing.
    if until.saturating_duration_since(Instant::now()) > PATIENCE
        && let Some(line) = line.take()
    {
        line.quit().await;
    }
    tokio::select! {
        () = tokio::time::sleep_until(until.into()) => {}
        () = shared.stop.cancelled() => {
            for held in shared.hands.take_waiting(destination) {
                shared.give_back(&held).await;
            }
        }
    }
}

/// Does with one entry what is to be done now.
async fn serve(shared: &Arc<Shared>, line: &mut Option<Line>, held: Held) {
    if shared.stop.is_cancelled() {
        shared.give_back(&held).await;
        return;
    }
    // An alarm brought it. To be sent, its recipients are taken out one by one.
    if held.entry.is_bundle() {
        shared.tell(&held).await;
        return;
    }
    let now = shared.handles.meta.clock().now();
    // An alarm comes whether or not the destination can be tried now.
    let warns = held.entry.warn.is_some_and(|warn| warn <= now);
    let expired = held.entry.expires <= now;
    if (warns || expired) && (held.entry.due > now || shared.rests(&held.entry).await) {
        shared.tell(&held).await;
        return;
    }
    loop {
        let fresh = line.is_none();
        let open = match line.take() {
            Some(open) if open.suits(&held.entry) => open,
            other => {
                if let Some(other) = other {
                    other.quit().await;
                }
                let opened = tokio::select! {
                    opened = Line::open(shared, &held) => opened,
                    // Nothing is lost with a connection that is not there yet.
                    () = shared.stop.cancelled() => return shared.give_back(&held).await,
                };
                match opened {
                    Ok(open) => open,
                    Err(trouble) if trouble.busy => return put_off(shared, held, &trouble).await,
                    Err(trouble) => return give_up(shared, held, &trouble).await,
                }
            }
        };
        let open = line.insert(open);
        match delivery::deliver(shared, open, &held).await {
            Ok(fates) => {
                let throttled = answered(shared, open, &held, fates).await;
                if !open.is_usable() {
                    *line = None;
                }
                if throttled {
                    give_back_waiting(shared, &held.entry.destination).await;
                }
                return;
            }
            Err(failure) => {
                let host = open.host().to_owned();
                *line = None;
                if failure.phase == Phase::Gate {
                    // Another node has it by now, or an administrator took it.
                    tracing::debug!(id = %held.entry.id, "a lease was lost while its message was sent");
                    shared.hands.done(&held);
                    return;
                }
                // A server may close a connection at any moment between two
                // messages: that says nothing about this one.
                if !fresh && !failure.after_data && is_stale(&failure) {
                    continue;
                }
                return undecided(shared, &held, &host, &failure).await;
            }
        }
    }
}

/// A server has answered for each recipient. Whether it asks for less.
async fn answered(shared: &Arc<Shared>, line: &mut Line, held: &Held, fates: Vec<Fate>) -> bool {
    let destination = &held.entry.destination;
    let taken = |fate: &Fate| matches!(fate, Fate::Relayed { .. });
    if fates.iter().any(taken) {
        shared.slots.prove(destination);
        line.prove();
    }
    let throttled = line.is_throttled();
    if !throttled && shared.hands.widen(destination) {
        shared.start_worker(destination.clone());
    }
    let kind = match throttled {
        true => Destination::Throttles,
        false => Destination::Works,
    };
    shared.settle(held, fates, kind).await;
    throttled
}

/// A server has decided nothing.
async fn undecided(shared: &Arc<Shared>, held: &Held, host: &str, failure: &Failure) {
    let destination = &held.entry.destination;
    let trouble = Trouble::met(host, failure);
    if failure.reply.is_none() {
        shared.slots.doubt(destination);
    }
    // Who does not even answer keeps the others waiting as long; who lacks what this
    // message demands does not.
    let silent = failure.reply.is_none() && !failure.after_data;
    let throttles = failure.reply.as_ref().is_some_and(delivery::throttles);
    let kind = match silent && !trouble.permanent {
        true => Destination::Rests(trouble.line()),
        false if throttles => Destination::Throttles,
        false => Destination::Unknown,
    };
    let throttled = kind == Destination::Throttles;
    let fates = delivery::all(&held.entry, |_| Fate::of(&trouble));
    shared.settle(held, fates, kind).await;
    if throttled {
        give_back_waiting(shared, destination).await;
    }
}

/// A server that asks for less is not asked for the others in hand: they wait until
/// the destination has rested.
async fn give_back_waiting(shared: &Arc<Shared>, destination: &str) {
    for waiting in shared.hands.take_waiting(destination) {
        shared.give_back(&waiting).await;
    }
}

/// Whether a connection that was used before is of no use any more: it was closed
/// meanwhile, or does not come back from the message before.
fn is_stale(failure: &Failure) -> bool {
    let closed = failure.reply.as_ref().is_none_or(|reply| reply.code == 421);
    match failure.phase {
        // RFC 5321 §4.1.1.5: nothing but 250 answers RSET. Whatever else comes is not
        // about the message that is next.
        Phase::Reset => true,
        Phase::Mail => closed,
        _ => false,
    }
}

/// This node has as many connections as it may have: another turn comes for all that wait
/// for the destination.
async fn put_off(shared: &Arc<Shared>, held: Held, trouble: &Trouble) {
    let destination = held.entry.destination.clone();
    // It has other connections: this one is too many.
    if shared.hands.narrow(&destination) {
        shared.give_back(&held).await;
        return;
    }
    tracing::info!(
        destination,
        reason = trouble.line(),
        "a destination waits for its turn"
    );
    shared.put_off(&held, trouble).await;
    give_back_waiting(shared, &destination).await;
}

/// The destination cannot be reached: so it is for all that wait for it and ask as
/// much of its TLS.
async fn give_up(shared: &Arc<Shared>, held: Held, trouble: &Trouble) {
    let destination = held.entry.destination.clone();
    // It took other connections: this one is too many.
    if !trouble.permanent && trouble.reply.is_some() && shared.hands.narrow(&destination) {
        shared.give_back(&held).await;
        return;
    }
    tracing::info!(
        destination,
        reason = trouble.line(),
        permanent = trouble.permanent,
        "a destination cannot be reached"
    );
    shared.slots.doubt(&destination);
    let wish = TlsWish::of(&held.entry.envelope);
    // What one sender demands of TLS keeps no others waiting.
    let rest = match trouble.permanent || wish == TlsWish::Required {
        true => Destination::Unknown,
        false => Destination::Rests(trouble.line()),
    };
    let fates = delivery::all(&held.entry, |_| Fate::of(trouble));
    shared.settle(&held, fates, rest).await;
    for waiting in shared.hands.take_waiting(&destination) {
        if TlsWish::of(&waiting.entry.envelope) != wish {
            shared.give_back(&waiting).await;
            continue;
        }
        let fates = delivery::all(&waiting.entry, |_| Fate::of(trouble));
        shared.settle(&waiting, fates, Destination::Unknown).await;
    }
}
