//! A sliding-window rate limit per key, in bounded memory, that holds over all
//! nodes that tell each other their counts.
//!
//! Two counters per key and process: the current window and the one before, the
//! latter weighed by the share that still lies in the sliding window. Windows are
//! numbered since 1970, so that all nodes mean the same one. A process's count in a
//! window only ascends: whatever is told twice, late or by several changes nothing.

use std::cmp::{Ordering, Reverse};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::counts::{Event, Signal};
use crate::{Counts, Key};

/// Changes that wait to be told, at most; those beyond are told with their next.
const MAX_NOTED: usize = 65_536;
/// Processes remembered per key.
const MAX_ORIGINS: usize = 32;

/// Limits events per key to `limit` in any span of `window`, near enough (the
/// events of the window before count as if evenly spread).
#[derive(Clone, Debug)]
pub struct RateLimiter {
    limit: u32,
    table: Arc<RateTable>,
}

impl RateLimiter {
    /// A limit of `limit` events per `window` (0 for no limit) on this node alone,
    /// remembering at most `capacity` keys.
    pub fn new(limit: u32, window: Duration, capacity: usize) -> Self {
        Counts::new().rate("", limit, window, capacity)
    }

    pub(crate) fn over(table: Arc<RateTable>, limit: u32) -> Self {
        Self { limit, table }
    }

    /// Counts an event of `key` unless the limit is reached; false if it is.
    pub fn try_acquire(&self, key: Key) -> bool {
        self.try_acquire_at(key, now())
    }

    /// Counts all of these events of `key`, or none and is false: past the limit.
    pub fn try_acquire_many(&self, key: Key, events: u32) -> bool {
        self.try_acquire_many_at(key, events, now())
    }

    /// Counts an event of `key`, whether or not the limit is reached.
    pub fn record(&self, key: Key) {
        if self.limit != 0 {
            self.table.record_if(key, now(), 1, |_| true);
        }
    }

    /// Whether `key` has reached the limit; counts nothing.
    pub fn is_exhausted(&self, key: Key) -> bool {
        self.limit != 0 && self.table.estimate(key, now()) >= self.limit
    }

    pub(crate) fn try_acquire_at(&self, key: Key, now: u64) -> bool {
        self.try_acquire_many_at(key, 1, now)
    }

    pub(crate) fn try_acquire_many_at(&self, key: Key, events: u32, now: u64) -> bool {
        let limit = self.limit;
        let fits = |count: u32| count.saturating_add(events) <= limit;
        limit == 0 || self.table.record_if(key, now, events, fits)
    }
}

/// Remembers keys for one to two spans of time, on all nodes.
#[derive(Clone, Debug)]
pub struct Marks(Arc<RateTable>);

impl Marks {
    pub(crate) fn over(table: Arc<RateTable>) -> Self {
        Self(table)
    }

    /// Remembers `key`.
    pub fn set(&self, key: Key) {
        self.set_at(key, now());
    }

    /// Whether `key` is remembered.
    pub fn contains(&self, key: Key) -> bool {
        self.contains_at(key, now())
    }

    pub(crate) fn set_at(&self, key: Key, now: u64) {
        // Once per window, whoever did it: others hear nothing new from a second.
        if self.0.counts(key, now).0 == 0 {
            self.0.record_if(key, now, 1, |_| true);
        }
    }

    pub(crate) fn contains_at(&self, key: Key, now: u64) -> bool {
        self.0.counts(key, now) != (0, 0)
    }
}

/// The counts of one limit.
#[derive(Debug)]
pub(crate) struct RateTable {
    /// Milliseconds of a window.
    span: u64,
    origin: u64,
    signal: Arc<Signal>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    capacity: usize,
    counters: HashMap<Key, Vec<Tally>>,
    /// Key, process and window of what is to be told.
    changed: HashSet<(Key, u64, u64)>,
}

/// The events that one process counted.
#[derive(Clone, Copy, Debug)]
struct Tally {
    origin: u64,
    window: u64,
    current: u32,
    before: u32,
}

impl Tally {
    /// Moves on to `window`.
    fn advance(&mut self, window: u64) {
        if window > self.window {
            let next = window == self.window + 1;
            self.before = if next { self.current } else { 0 };
            self.current = 0;
            self.window = window;
        } else if self.window > window + 1 {
            // The clock was set back by more than what limits look at.
            (self.window, self.current, self.before) = (window, 0, 0);
        }
    }

    /// Takes over a count of the same process; false if it says nothing new.
    fn merge(&mut self, window: u64, count: u32) -> bool {
        let known = match window.cmp(&self.window) {
            Ordering::Greater => {
                self.advance(window);
                &mut self.current
            }
            Ordering::Equal => &mut self.current,
            Ordering::Less if window + 1 == self.window => &mut self.before,
            Ordering::Less => return false,
        };
        let new = count > *known;
        *known = count.max(*known);
        new
    }

    /// Events in `window` and in the one before.
    fn at(&self, window: u64) -> (u32, u32) {
        if self.window == window {
            (self.current, self.before)
        } else if self.window == window + 1 {
            // That node's clock is ahead of ours.
            (self.current.saturating_add(self.before), 0)
        } else if self.window + 1 == window {
            (0, self.current)
        } else {
            (0, 0)
        }
    }

    fn count_in(&self, window: u64) -> u32 {
        if self.window == window {
            self.current
        } else if self.window == window + 1 {
            self.before
        } else {
            0
        }
    }
}

/// Events in the `window` of `now` and in the one before, of all processes.
fn sum(tallies: &[Tally], window: u64) -> (u32, u32) {
    tallies.iter().fold((0, 0), |(current, before), tally| {
        let (c, b) = tally.at(window);
        (current.saturating_add(c), before.saturating_add(b))
    })
}

impl RateTable {
    pub(crate) fn new(span: u64, origin: u64, signal: Arc<Signal>, capacity: usize) -> Self {
        let state = State {
            capacity,
            counters: HashMap::new(),
            changed: HashSet::new(),
        };
        Self {
            span: span.max(1),
            origin,
            signal,
            state: Mutex::new(state),
        }
    }

    /// Remembers at most `capacity` keys from now on.
    pub(crate) fn set_capacity(&self, capacity: usize) {
        self.state.lock().capacity = capacity.max(1);
    }

    fn window(&self, now: u64) -> u64 {
        now / self.span
    }

    /// Events in the span that ends `now`.
    fn weigh(&self, tallies: &[Tally], now: u64) -> u32 {
        let (current, before) = sum(tallies, self.window(now));
        let share = 1.0 - (now % self.span) as f64 / self.span as f64;
        // Below 2^32 as both are. Rounded: what fills a limit fills it past the
        // turn of the window too.
        current.saturating_add((f64::from(before) * share).round() as u32)
    }

    fn counts(&self, key: Key, now: u64) -> (u32, u32) {
        let state = self.state.lock();
        let tallies = state.counters.get(&key).map_or(&[][..], Vec::as_slice);
        sum(tallies, self.window(now))
    }

    fn estimate(&self, key: Key, now: u64) -> u32 {
        let state = self.state.lock();
        let tallies = state.counters.get(&key).map_or(&[][..], Vec::as_slice);
        self.weigh(tallies, now)
    }

    /// Counts an event of `key` if `admits` the events so far.
    fn record_if(&self, key: Key, now: u64, events: u32, admits: impl FnOnce(u32) -> bool) -> bool {
        let mut state = self.state.lock();
        let tallies = self.tallies(&mut state, key, now);
        if !admits(self.weigh(tallies, now)) {
            return false;
        }
        let Some(own) = tally(tallies, self.origin, self.window(now)) else {
            return true;
        };
        own.advance(self.window(now));
        own.current = own.current.saturating_add(events);
        let window = own.window;
        self.note(&mut state, (key, self.origin, window));
        true
    }

    /// What is known of `key`, with room made for it.
    fn tallies<'a>(&self, state: &'a mut State, key: Key, now: u64) -> &'a mut Vec<Tally> {
        if state.counters.len() >= state.capacity && !state.counters.contains_key(&key) {
            self.make_room(&mut state.counters, now);
        }
        state.counters.entry(key).or_insert(Vec::with_capacity(1))
    }

    /// Drops what has expired; if everything is fresh, the quieter half: whoever
    /// floods the table with new keys cannot push out those near their limit.
    fn make_room(&self, counters: &mut HashMap<Key, Vec<Tally>>, now: u64) {
        let full = counters.len();
        let window = self.window(now);
        counters.retain(|_, tallies| sum(tallies, window) != (0, 0));
        if counters.len() < full {
            return;
        }
        let mut counts: Vec<u32> = counters.values().map(|t| self.weigh(t, now)).collect();
        let middle = counts.len() / 2;
        let (_, median, _) = counts.select_nth_unstable(middle);
        let median = *median;
        let mut to_drop = middle + 1;
        counters.retain(|_, tallies| {
            let drop = to_drop > 0 && self.weigh(tallies, now) <= median;
            to_drop -= usize::from(drop);
            !drop
        });
    }

    /// Remembers what is to be told to other nodes.
    fn note(&self, state: &mut State, what: (Key, u64, u64)) {
        if self.signal.is_on() && state.changed.len() < MAX_NOTED {
            let first = state.changed.is_empty();
            if state.changed.insert(what) && first {
                self.signal.raise();
            }
        }
    }

    /// What has changed since the last call: at most `most`, the highest counts.
    pub(crate) fn take_changes(&self, most: usize) -> Vec<Event> {
        let state = &mut *self.state.lock();
        let counters = &state.counters;
        let event = |(key, origin, window)| {
            let tally = counters.get(&key)?.iter().find(|t| t.origin == origin)?;
            let count = tally.count_in(window);
            (count > 0).then_some(Event {
                key,
                origin,
                window,
                count,
            })
        };
        let mut events: Vec<Event> = state.changed.drain().filter_map(event).collect();
        if events.len() > most {
            events.select_nth_unstable_by_key(most, |event| Reverse(event.count));
            events.truncate(most);
        }
        events
    }

    /// All that still counts.
    pub(crate) fn everything(&self, now: u64) -> Vec<Event> {
        let window = self.window(now);
        let state = self.state.lock();
        let tallies = state.counters.iter();
        let tallies = tallies.flat_map(|(key, tallies)| tallies.iter().map(|t| (*key, *t)));
        let events = tallies.flat_map(|(key, tally)| {
            let parts = [
                (tally.window, tally.current),
                (tally.window.saturating_sub(1), tally.before),
            ];
            parts.map(|(window, count)| Event {
                key,
                origin: tally.origin,
                window,
                count,
            })
        });
        events
            .filter(|e| e.count > 0 && e.window.abs_diff(window) <= 1)
            .collect()
    }

    /// Takes over what other processes counted. With `tell`, what is new in it is a
    /// change to be told on.
    pub(crate) fn merge(&self, events: &[Event], now: u64, tell: bool) {
        let window = self.window(now);
        let mut state = self.state.lock();
        for event in events {
            // A clock that is off by more makes a node count alone.
            let far = event.window.abs_diff(window) > 1;
            if far || event.count == 0 || event.origin == self.origin {
                continue;
            }
            let tallies = self.tallies(&mut state, event.key, now);
            if tallies.len() >= MAX_ORIGINS {
                tallies.retain(|t| t.at(window) != (0, 0));
            }
            let Some(tally) = tally(tallies, event.origin, event.window) else {
                continue;
            };
            if tally.merge(event.window, event.count) && tell {
                self.note(&mut state, (event.key, event.origin, event.window));
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.state.lock().counters.len()
    }
}

/// The tally of `origin`; None where there are too many.
fn tally(tallies: &mut Vec<Tally>, origin: u64, window: u64) -> Option<&mut Tally> {
    let at = match tallies.iter().position(|t| t.origin == origin) {
        Some(at) => at,
        None if tallies.len() >= MAX_ORIGINS => return None,
        None => {
            tallies.push(Tally {
                origin,
                window,
                current: 0,
                before: 0,
            });
            tallies.len() - 1
        }
    };
    tallies.get_mut(at)
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests;
