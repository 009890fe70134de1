//! [`Counts`]: what the limits of this process have counted, and what they were
//! told of other processes. Owns the limits' names; says what has changed and takes
//! over what others say. How that travels between nodes is not its business.
//!
//! Every limit decides at once by what it knows; no round trip. What is told are
//! absolute counts per process, so that repeating them changes nothing.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Key;
use crate::gate::{Gate, HeldTable};
use crate::rate::{Marks, RateLimiter, RateTable, now};

/// Limits that are kept for others although this process has none of the name.
const MAX_UNKNOWN: usize = 32;
/// Keys remembered for each of them.
const UNKNOWN_CAPACITY: usize = 100_000;
/// The longest name, in bytes.
const MAX_NAME: usize = 64;

/// A limit's name and the milliseconds of its window: nodes with another window
/// count apart.
type RateName = (Arc<str>, u64);

/// The counts of all limits of one process. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Counts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: u64,
    signal: Arc<Signal>,
    rates: Mutex<BTreeMap<RateName, Arc<RateTable>>>,
    held: Mutex<BTreeMap<Arc<str>, Arc<HeldTable>>>,
}

/// Wakes whoever tells others.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    on: AtomicBool,
    changed: Notify,
}

impl Signal {
    /// Whether anybody wants to know what changes.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    pub(crate) fn raise(&self) {
        self.changed.notify_one();
    }
}

/// How many events one process counted in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Of what.
    pub key: Key,
    /// The process.
    pub origin: u64,
    /// The window's number since 1970.
    pub window: u64,
    /// All of that window.
    pub count: u32,
}

/// How many connections one process holds now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// From whom.
    pub key: Key,
    /// The process.
    pub origin: u64,
    /// Zero: no longer any.
    pub count: u32,
}

/// Counts by limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By the limit's name and the milliseconds of its window.
    pub events: Vec<(Arc<str>, u64, Vec<Event>)>,
    /// By the name of the kind of listener.
    pub held: Vec<(Arc<str>, Vec<Held>)>,
}

impl Report {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.held.is_empty()
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self::new()
    }
}

impl Counts {
    /// No limits yet.
    pub fn new() -> Self {
        // The system's randomness; never 0.
        let origin = RandomState::new().build_hasher().finish() | 1;
        Self(Arc::new(Inner {
            origin,
            signal: Arc::default(),
            rates: Mutex::default(),
            held: Mutex::default(),
        }))
    }

    /// A random number for this process, by which others know its counts.
    pub fn origin(&self) -> u64 {
        self.0.origin
    }

    /// A limit of `limit` events per `window` (0 for no limit), remembering at most
    /// `capacity` keys. Those of the same `name` and window count together, here
    /// and on other nodes.
    pub fn rate(&self, name: &str, limit: u32, window: Duration, capacity: usize) -> RateLimiter {
        RateLimiter::over(self.table(name, window, capacity), limit)
    }

    /// A memory of keys for `span` at least and twice that at most; the same with
    /// the same `name` everywhere.
    pub fn marks(&self, name: &str, span: Duration, capacity: usize) -> Marks {
        Marks::over(self.table(name, span, capacity))
    }

    /// A gate for `total` connections, of which `per_address` may come from one
    /// address; the latter count together with those of the same `name` here and
    /// on other nodes.
    pub fn gate(&self, name: &str, total: u32, per_address: u32) -> Arc<Gate> {
        Gate::over(self.held_table(name), total, per_address)
    }

    fn table(&self, name: &str, window: Duration, capacity: usize) -> Arc<RateTable> {
        let span = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut rates = self.0.rates.lock();
        let table = rates
            .entry((name.into(), span))
            .or_insert_with(|| self.new_table(span));
        table.set_capacity(capacity);
        table.clone()
    }

    fn new_table(&self, span: u64) -> Arc<RateTable> {
        let signal = self.0.signal.clone();
        let table = RateTable::new(span, self.0.origin, signal, UNKNOWN_CAPACITY);
        Arc::new(table)
    }

    fn held_table(&self, name: &str) -> Arc<HeldTable> {
        let mut held = self.0.held.lock();
        let new = || Arc::new(HeldTable::new(self.0.origin, self.0.signal.clone()));
        held.entry(name.into()).or_insert_with(new).clone()
    }

    fn rates(&self) -> Vec<(RateName, Arc<RateTable>)> {
        let rates = self.0.rates.lock();
        let all = rates
            .iter()
            .map(|(name, table)| (name.clone(), table.clone()));
        all.collect()
    }

    fn helds(&self) -> Vec<(Arc<str>, Arc<HeldTable>)> {
        let held = self.0.held.lock();
        let all = held
            .iter()
            .map(|(name, table)| (name.clone(), table.clone()));
        all.collect()
    }

    /// From now on changes are noted; without, nothing is kept for anybody.
    pub fn note_changes(&self) {
        self.0.signal.on.store(true, Ordering::Relaxed);
    }

    /// Returns once there may be changes. Safe to drop.
    pub async fn changed(&self) {
        self.0.signal.changed.notified().await;
    }

    /// What has changed since the last call, at most `most` of each limit: of events
    /// the highest counts (the others are told with their next), of connections any
    /// (the others with the next call).
    pub fn take_changes(&self, most: usize) -> Report {
        let mut report = Report::default();
        for ((name, span), table) in self.rates() {
            let events = table.take_changes(most);
            if !events.is_empty() {
                report.events.push((name, span, events));
            }
        }
        for (name, table) in self.helds() {
            let (held, more) = table.take_changes(most);
            if !held.is_empty() {
                report.held.push((name, held));
            }
            if more {
                self.0.signal.raise();
            }
        }
        report
    }

    /// All that counts, of all processes.
    pub fn everything(&self) -> Report {
        let now = now();
        let mut report = Report::default();
        for ((name, span), table) in self.rates() {
            let events = table.everything(now);
            if !events.is_empty() {
                report.events.push((name, span, events));
            }
        }
        for (name, table) in self.helds() {
            let held = table.everything();
            if !held.is_empty() {
                report.held.push((name, held));
            }
        }
        report
    }

    /// Takes over what other processes say. With `tell`, what is new in it is a
    /// change to be told on.
    pub fn merge(&self, report: &Report, tell: bool) {
        let now = now();
        for (name, span, events) in &report.events {
            if let Some(table) = self.told_rate(name, *span) {
                table.merge(events, now, tell);
            }
        }
        for (name, held) in &report.held {
            if let Some(table) = self.told_held(name) {
                table.merge(held, tell);
            }
        }
    }

    /// Takes over all connections of the other processes that are `meant`: what is
    /// not in `held` they do not hold. What others than those hold stays.
    pub fn replace_held(
        &self,
        held: &[(Arc<str>, Vec<Held>)],
        meant: impl Fn(u64) -> bool,
        tell: bool,
    ) {
        for (name, _) in held {
            self.told_held(name);
        }
        for (name, table) in self.helds() {
            let told = held.iter().filter(|(told, _)| *told == name);
            let told: Vec<Held> = told.flat_map(|(_, held)| held.iter().copied()).collect();
            table.replace(&told, &meant, tell);
        }
    }

    /// The other processes that hold connections, as far as known.
    pub fn holders(&self) -> Vec<u64> {
        let held = self.helds();
        let held = held.iter().flat_map(|(_, table)| table.everything());
        let mut holders: Vec<u64> = held.map(|h| h.origin).collect();
        holders.sort_unstable();
        holders.dedup();
        holders.retain(|origin| *origin != self.0.origin);
        holders
    }

    /// The table that another process speaks of; None where there are too many that
    /// this one does not know.
    fn told_rate(&self, name: &Arc<str>, span: u64) -> Option<Arc<RateTable>> {
        let mut rates = self.0.rates.lock();
        if let Some(table) = rates.get(&(name.clone(), span)) {
            return Some(table.clone());
        }
        if name.len() > MAX_NAME || span == 0 || rates.len() >= MAX_UNKNOWN {
            return None;
        }
        let table = self.new_table(span);
        rates.insert((name.clone(), span), table.clone());
        Some(table)
    }

    fn told_held(&self, name: &Arc<str>) -> Option<Arc<HeldTable>> {
        let room = {
            let held = self.0.held.lock();
            held.contains_key(name) || (name.len() <= MAX_NAME && held.len() < MAX_UNKNOWN)
        };
        room.then(|| self.held_table(name))
    }
}

#[cfg(test)]
mod tests;
