//! [`Hands`]: the entries that this node has leased, by destination, and how
//! many connections work on each. A bounded window over a queue of any length.
//!
//! Knows no network and no metadata.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_meta::QueuedView;
use postrider_types::QueueId;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::Settings;
use crate::grip::Grip;

/// How many entries of one destination are leased per connection that it may
/// have: enough that none runs dry before the next lease.
const AHEAD: usize = 2;
/// Connections to a destination that has not taken anything yet. Each message that
/// it takes allows one more, so that servers that keep us waiting hold few.
const FIRST: usize = 2;

/// An entry in hand.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) entry: QueuedView,
    pub(crate) grip: Arc<Grip>,
}

/// All entries in hand.
pub(crate) struct Hands {
    state: Mutex<State>,
    limits: Limits,
    /// Told whenever more may be leased.
    room: Notify,
}

struct Limits {
    window: usize,
    per_destination: usize,
}

#[derive(Default)]
struct State {
    lanes: HashMap<String, Lane>,
    grips: HashMap<QueueId, Arc<Grip>>,
}

/// One destination.
struct Lane {
    waiting: VecDeque<Held>,
    /// Entries that a worker has.
    working: usize,
    /// Workers, idle ones included.
    workers: usize,
    idle: usize,
    /// The most workers: fewer while the destination takes no more.
    allowed: usize,
    wake: Arc<Notify>,
}

impl Hands {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            state: Mutex::default(),
            limits: Limits {
                window: settings.window,
                per_destination: settings.connections_per_destination,
            },
            room: Notify::new(),
        }
    }

    /// How many more entries fit.
    pub(crate) fn room(&self) -> usize {
        let used = self.state.lock().grips.len();
        self.limits.window.saturating_sub(used)
    }

    /// The most entries of one destination.
    pub(crate) fn per_destination(&self) -> usize {
        (self.limits.per_destination * AHEAD).min(self.limits.window)
    }

    /// Destinations of which no more are wanted now.
    pub(crate) fn busy(&self) -> Vec<String> {
        let state = self.state.lock();
        let busy = state.lanes.iter().filter(|(_, lane)| lane.is_busy());
        busy.map(|(name, _)| name.clone()).collect()
    }

    /// Is ready once more may be leased than at the last call.
    pub(crate) async fn more_room(&self) {
        self.room.notified().await;
    }

    /// Takes an entry. True: a worker for its destination must be started.
    pub(crate) fn put(&self, held: Held) -> bool {
        let mut state = self.state.lock();
        let State { lanes, grips } = &mut *state;
        grips.insert(held.grip.id, held.grip.clone());
        let name = held.entry.destination.clone();
        let allowed = self.limits.per_destination.min(FIRST);
        let lane = lanes.entry(name).or_insert_with(|| Lane::new(allowed));
        lane.waiting.push_back(held);
        if lane.idle > 0 {
            lane.wake.notify_one();
        }
        lane.lacks_workers()
    }

    /// The next entry for a worker of `name`; waits up to `patience` for one.
    /// None: the worker is dismissed.
    pub(crate) async fn next(&self, name: &str, patience: Duration) -> Option<Held> {
        loop {
            let wake = {
                let mut state = self.state.lock();
                let lane = state.lanes.get_mut(name)?;
                if lane.workers > lane.allowed {
                    state.dismiss(name);
                    return None;
                }
                if let Some(held) = lane.waiting.pop_front() {
                    lane.working += 1;
                    return Some(held);
                }
                lane.idle += 1;
                lane.wake.clone()
            };
            let woken = timeout(patience, wake.notified()).await.is_ok();
            let mut state = self.state.lock();
            let lane = state.lanes.get_mut(name)?;
            lane.idle -= 1;
            if !woken && lane.waiting.is_empty() {
                state.dismiss(name);
                return None;
            }
        }
    }

    /// An entry was settled, or is lost.
    pub(crate) fn done(&self, held: &Held) {
        let mut state = self.state.lock();
        let mut more = state.grips.len() >= self.limits.window;
        state.grips.remove(&held.grip.id);
        if let Some(lane) = state.lanes.get_mut(&held.entry.destination) {
            let was_busy = lane.is_busy();
            lane.working -= 1;
            more |= was_busy && !lane.is_busy();
            if lane.is_over() {
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
        lane.allowed = (lane.allowed + 1).min(self.limits.per_destination);
        let start = lane.lacks_workers();
        drop(state);
        self.room.notify_one();
        start
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
            if lane.is_over() {
                self.lanes.remove(name);
            }
        }
    }
}

impl Lane {
    fn new(allowed: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            working: 0,
            workers: 0,
            idle: 0,
            allowed,
            wake: Arc::new(Notify::new()),
        }
    }

    /// Whether each of its connections has something to do, so that no more is
    /// wanted: asking for the last few that fit would cost a command each.
    fn is_busy(&self) -> bool {
        self.waiting.len() + self.working > self.allowed
    }

    /// Whether one more worker has something to do; counts it if so.
    fn lacks_workers(&mut self) -> bool {
        let lacks = self.waiting.len() > self.idle && self.workers < self.allowed;
        if lacks {
            self.workers += 1;
        }
        lacks
    }

    fn is_over(&self) -> bool {
        self.workers == 0 && self.working == 0 && self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests;
