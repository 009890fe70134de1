//! [`Hands`]: the entries that this node has leased, by destination, and how
//! many connections work on each. A bounded window over a queue of any length.
//!
//! Knows no network and no metadata.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use postrider_meta::{QueuedView, Token};
use postrider_types::{Millis, QueueId};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::Settings;
use crate::grip::Grip;
use crate::pace::{Limits, Pace};

/// How many entries of one destination are leased per connection that it may
/// have: enough that none runs dry before the next lease.
const AHEAD: usize = 2;
/// Connections to a destination that has not taken anything yet. Each message that
/// it takes allows one more, so that servers that keep us waiting hold few.
const FIRST: usize = 2;

/// How much of `all` those in bulk, or the others, may take: the rest is kept for the
/// other kind.
pub(crate) fn share(all: usize) -> usize {
    (all * 3).div_ceil(4)
}

/// How many more entries fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) all: usize,
    /// Of those that are not in bulk.
    pub(crate) usual: usize,
    /// Of those in bulk.
    pub(crate) bulk: usize,
}

/// An entry in hand.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) entry: QueuedView,
    pub(crate) grip: Arc<Grip>,
    /// A state of the metadata that has the lease.
    pub(crate) token: Token,
}

/// What a worker is to do next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Send this entry.
    Send(Held),
    /// Nothing may be sent to the destination at the moment, but the sender of this
    /// entry is to hear of it.
    Tell(Held),
    /// Wait until then: the destination has had what it may get.
    Pause(Instant),
    /// Nothing any more: the worker is dismissed.
    End,
}

/// All entries in hand.
pub(crate) struct Hands {
    state: Mutex<State>,
    window: usize,
    /// How many of those in bulk may be in hand: no more than can have connections.
    most_bulk: usize,
    limits: Limits,
    /// Told whenever more may be leased.
    room: Notify,
}

#[derive(Default)]
struct State {
    lanes: HashMap<String, Lane>,
    grips: HashMap<QueueId, Arc<Grip>>,
    /// Entries in bulk.
    bulk: usize,
}

/// One destination.
struct Lane {
    /// Those in bulk behind the others.
    waiting: VecDeque<Held>,
    /// Entries that a worker has.
    working: usize,
    /// Those of them that are in bulk.
    working_bulk: usize,
    /// Workers, idle ones included.
    workers: usize,
    idle: usize,
    /// The most workers: fewer while the destination takes no more.
    allowed: usize,
    /// The most that there may ever be.
    most: usize,
    /// How fast messages may follow each other, where that is limited.
    pace: Option<Pace>,
    wake: Arc<Notify>,
}

impl Hands {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            state: Mutex::default(),
            window: settings.window,
            most_bulk: share(settings.window).min(share(settings.connections)),
            limits: Limits::new(settings),
            room: Notify::new(),
        }
    }

    /// How many more entries fit.
    pub(crate) fn room(&self) -> Room {
        let state = self.state.lock();
        let (used, bulk) = (state.grips.len(), state.bulk);
        Room {
            all: self.window.saturating_sub(used),
            usual: share(self.window).saturating_sub(used.saturating_sub(bulk)),
            bulk: self.most_bulk.saturating_sub(bulk),
        }
    }

    /// The most entries of one destination that are leased at once. No more than can
    /// be sent soon: those of one destination shall not fill the window.
    pub(crate) fn per_destination(&self) -> usize {
        let usual = self.limits.usual();
        let paced = usual.pace().map_or(usize::MAX, |pace| pace.ahead());
        (usual.connections * AHEAD).min(paced).min(self.window)
    }

    /// Destinations of which no more are wanted now, and those of which no more in bulk
    /// are.
    pub(crate) fn busy(&self) -> [Vec<String>; 2] {
        let mut state = self.state.lock();
        // Those that were kept only until more might have been sent to them.
        let now = Instant::now();
        state.lanes.retain(|_, lane| !lane.is_over(now));
        [false, true].map(|bulk| {
            let busy = state.lanes.iter().filter(|(_, lane)| lane.is_busy(bulk));
            busy.map(|(name, _)| name.clone()).collect()
        })
    }

    /// Is ready once more may be leased than at the last call.
    pub(crate) async fn more_room(&self) {
        self.room.notified().await;
    }

    /// Takes an entry. True: a worker for its destination must be started.
    pub(crate) fn put(&self, held: Held) -> bool {
        let mut state = self.state.lock();
        let State { lanes, grips, bulk } = &mut *state;
        *bulk += usize::from(held.entry.bulk);
        grips.insert(held.grip.id, held.grip.clone());
        let name = held.entry.destination.clone();
        let limit = self.limits.of(&name);
        let new = || Lane::new(limit.connections, limit.pace());
        let lane = lanes.entry(name).or_insert_with(new);
        lane.line_up(held);
        if lane.idle > 0 {
            lane.wake.notify_one();
        }
        lane.lacks_workers()
    }

    /// What a worker of `name` is to do; waits up to `patience` for an entry. `now`
    /// is the time by which entries have alarms.
    pub(crate) async fn next(&self, name: &str, patience: Duration, now: Millis) -> Next {
        loop {
            let wake = {
                let mut state = self.state.lock();
                let Some(lane) = state.lanes.get_mut(name) else {
                    return Next::End;
                };
                if lane.workers > lane.allowed {
                    state.dismiss(name);
                    return Next::End;
                }
                if !lane.waiting.is_empty() {
                    return lane.next(now);
                }
                lane.idle += 1;
                lane.wake.clone()
            };
            let woken = timeout(patience, wake.notified()).await.is_ok();
            let mut state = self.state.lock();
            let Some(lane) = state.lanes.get_mut(name) else {
                return Next::End;
            };
            lane.idle -= 1;
            if !woken && lane.waiting.is_empty() {
                state.dismiss(name);
                return Next::End;
            }
        }
    }

    /// An entry was settled, or is lost.
    pub(crate) fn done(&self, held: &Held) {
        let mut state = self.state.lock();
        let bulk = held.entry.bulk;
        let used = state.grips.len();
        let mut more = used >= self.window
            || used.saturating_sub(state.bulk) >= share(self.window)
            || state.bulk >= self.most_bulk;
        state.grips.remove(&held.grip.id);
        state.bulk -= usize::from(bulk);
        if let Some(lane) = state.lanes.get_mut(&held.entry.destination) {
            let was_busy = lane.is_busy(bulk);
            lane.working -= 1;
            lane.working_bulk -= usize::from(bulk);
            more |= was_busy && !lane.is_busy(bulk);
            if lane.is_over(Instant::now()) {
                state.lanes.remove(&held.entry.destination);
            }
        }
        drop(state);
        if more {
            self.room.notify_one();
        }
    }

    /// All entries of `name` that nobody works on yet. Each must be told to
    /// [`Self::done`].
    pub(crate) fn take_waiting(&self, name: &str) -> Vec<Held> {
        let mut state = self.state.lock();
        let Some(lane) = state.lanes.get_mut(name) else {
            return Vec::new();
        };
        let taken: Vec<Held> = lane.waiting.drain(..).collect();
        lane.working += taken.len();
        lane.working_bulk += taken.iter().filter(|held| held.entry.bulk).count();
        taken
    }

    /// The same of all destinations.
    pub(crate) fn take_all_waiting(&self) -> Vec<Held> {
        let names: Vec<String> = self.state.lock().lanes.keys().cloned().collect();
        let waiting = names.iter().map(|name| self.take_waiting(name));
        waiting.flatten().collect()
    }

    /// `name` takes no more connections than it has without the one that was
    /// just refused. Whether any is left.
    pub(crate) fn narrow(&self, name: &str) -> bool {
        let mut state = self.state.lock();
        let Some(lane) = state.lanes.get_mut(name) else {
            return false;
        };
        lane.allowed = lane.workers.saturating_sub(1).max(1);
        lane.workers > 1
    }

    /// `name` takes mail well: one more connection may be tried. True: a worker for
    /// it must be started.
    pub(crate) fn widen(&self, name: &str) -> bool {
        let mut state = self.state.lock();
        let Some(lane) = state.lanes.get_mut(name) else {
            return false;
        };
        lane.allowed = (lane.allowed + 1).min(lane.most);
        let start = lane.lacks_workers();
        drop(state);
        self.room.notify_one();
        start
    }

    /// The lease of an entry in hand.
    pub(crate) fn grip(&self, id: QueueId) -> Option<Arc<Grip>> {
        self.state.lock().grips.get(&id).cloned()
    }

    /// The leases of all entries in hand.
    pub(crate) fn grips(&self) -> Vec<Arc<Grip>> {
        self.state.lock().grips.values().cloned().collect()
    }
}

impl State {
    /// A worker of `name` ends. Counted under the lock under which that is decided:
    /// what comes a moment later must find it gone.
    fn dismiss(&mut self, name: &str) {
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.workers -= 1;
            if lane.is_over(Instant::now()) {
                self.lanes.remove(name);
            }
        }
    }
}

impl Lane {
    fn new(most: usize, pace: Option<Pace>) -> Self {
        Self {
            waiting: VecDeque::new(),
            working: 0,
            working_bulk: 0,
            workers: 0,
            idle: 0,
            allowed: most.min(FIRST),
            most,
            pace,
            wake: Arc::new(Notify::new()),
        }
    }

    /// Lets an entry wait: in bulk, at the end, else behind the last that is not.
    fn line_up(&mut self, held: Held) {
        let mut waiting = self.waiting.iter();
        let bulk = waiting.position(|other| other.entry.bulk);
        let place = bulk.filter(|_| !held.entry.bulk);
        self.waiting
            .insert(place.unwrap_or(self.waiting.len()), held);
    }

    /// A worker takes an entry.
    fn begin(&mut self, held: &Held) {
        self.working += 1;
        self.working_bulk += usize::from(held.entry.bulk);
    }

    /// What a worker is to do of what waits.
    fn next(&mut self, now: Millis) -> Next {
        let paused = match &mut self.pace {
            Some(pace) => pace.take(Instant::now()).err(),
            None => None,
        };
        let Some(until) = paused else {
            return match self.waiting.pop_front() {
                Some(held) => {
                    self.begin(&held);
                    Next::Send(held)
                }
                None => Next::End,
            };
        };
        // An alarm comes whether or not the destination can be tried now; what has
        // rung would otherwise come in hand without end.
        let rings = |held: &Held| {
            let entry = &held.entry;
            entry.expires <= now || entry.warn.is_some_and(|warn| warn <= now)
        };
        let place = self.waiting.iter().position(rings);
        match place.and_then(|place| self.waiting.remove(place)) {
            Some(held) => {
                self.begin(&held);
                Next::Tell(held)
            }
            None => Next::Pause(until),
        }
    }

    /// Whether each of its connections has something to do, or as much waits as may
    /// be sent soon, so that no more, or no more in bulk, is wanted: asking for the last
    /// few that fit would cost a command each.
    fn is_busy(&self, bulk: bool) -> bool {
        let ahead = self.pace.as_ref().map_or(usize::MAX, Pace::ahead);
        let (waiting, working) = match bulk {
            true => (self.waiting.len(), self.working),
            // Those in bulk make way.
            false => {
                let usual = self.waiting.iter().filter(|held| !held.entry.bulk);
                (usual.count(), self.working - self.working_bulk)
            }
        };
        waiting >= ahead || waiting + working > self.allowed
    }

    /// Whether one more worker has something to do; counts it if so.
    fn lacks_workers(&mut self) -> bool {
        let lacks = self.waiting.len() > self.idle && self.workers < self.allowed;
        if lacks {
            self.workers += 1;
        }
        lacks
    }

    /// Whether nothing is lost with it. How fast it was sent to is not forgotten
    /// before more may be sent.
    fn is_over(&self, now: Instant) -> bool {
        let rested = self.pace.as_ref().is_none_or(|pace| pace.is_rested(now));
        rested && self.workers == 0 && self.working == 0 && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests;
