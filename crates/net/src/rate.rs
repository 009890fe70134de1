//! A sliding-window rate limit per key, in bounded memory.
//!
//! Two counters per key: the current window and the one before, the latter
//! weighed by the share that still lies in the sliding window.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Limits events per key to `limit` in any span of `window`, near enough (the
/// events of the window before count as if evenly spread).
#[derive(Debug)]
pub struct RateLimiter<K> {
    limit: u32,
    window: Duration,
    capacity: usize,
    counters: Mutex<HashMap<K, Counter>>,
}

#[derive(Clone, Copy, Debug)]
struct Counter {
    started: Instant,
    current: u32,
    before: u32,
}

impl Counter {
    /// Moves on to the window that `now` lies in.
    fn advance(&mut self, now: Instant, window: Duration) {
        let passed = now.saturating_duration_since(self.started);
        if passed >= window.saturating_mul(2) {
            *self = Self {
                started: now,
                current: 0,
                before: 0,
            };
        } else if passed >= window {
            self.before = self.current;
            self.current = 0;
            self.started += window;
        }
    }

    /// Events in the window that ends `now`.
    fn estimate(&self, now: Instant, window: Duration) -> u32 {
        let passed = now.saturating_duration_since(self.started).as_secs_f64();
        let share = (1.0 - passed / window.as_secs_f64().max(f64::EPSILON)).clamp(0.0, 1.0);
        // Below 2^32 as both are; the fraction is of no interest.
        self.current
            .saturating_add((f64::from(self.before) * share) as u32)
    }
}

impl<K: Hash + Eq + Clone> RateLimiter<K> {
    /// A limit of `limit` events per `window` (0 for no limit), remembering at
    /// most `capacity` keys.
    pub fn new(limit: u32, window: Duration, capacity: usize) -> Self {
        Self {
            limit,
            window,
            capacity,
            counters: Mutex::new(HashMap::new()),
        }
    }

    /// Counts an event of `key` unless the limit is reached; false if it is.
    pub fn try_acquire(&self, key: &K) -> bool {
        self.try_acquire_at(key, Instant::now())
    }

    /// Counts an event of `key`, whether or not the limit is reached, and
    /// returns how many the window now has.
    pub fn record(&self, key: &K) -> u32 {
        let now = Instant::now();
        self.with_counter(key, now, |counter, window| {
            counter.current = counter.current.saturating_add(1);
            counter.estimate(now, window)
        })
    }

    /// Whether `key` has reached the limit; counts nothing.
    pub fn is_exhausted(&self, key: &K) -> bool {
        if self.limit == 0 {
            return false;
        }
        let now = Instant::now();
        let mut counters = self.counters.lock();
        let Some(counter) = counters.get_mut(key) else {
            return false;
        };
        counter.advance(now, self.window);
        counter.estimate(now, self.window) >= self.limit
    }

    /// Forgets the events of `key`.
    pub fn forget(&self, key: &K) {
        self.counters.lock().remove(key);
    }

    fn try_acquire_at(&self, key: &K, now: Instant) -> bool {
        if self.limit == 0 {
            return true;
        }
        let limit = self.limit;
        self.with_counter(key, now, |counter, window| {
            let free = counter.estimate(now, window) < limit;
            if free {
                counter.current += 1;
            }
            free
        })
    }

    fn with_counter<T>(
        &self,
        key: &K,
        now: Instant,
        act: impl FnOnce(&mut Counter, Duration) -> T,
    ) -> T {
        let mut counters = self.counters.lock();
        if counters.len() >= self.capacity && !counters.contains_key(key) {
            make_room(&mut counters, now, self.window);
        }
        let fresh = Counter {
            started: now,
            current: 0,
            before: 0,
        };
        let counter = counters.entry(key.clone()).or_insert(fresh);
        counter.advance(now, self.window);
        act(counter, self.window)
    }
}

/// Drops what has expired; if everything is fresh, the quieter half: whoever
/// floods the table with new keys cannot push out those near their limit.
fn make_room<K: Hash + Eq>(counters: &mut HashMap<K, Counter>, now: Instant, window: Duration) {
    let full = counters.len();
    counters.retain(|_, c| now.saturating_duration_since(c.started) < window.saturating_mul(2));
    if counters.len() < full {
        return;
    }
    let mut counts: Vec<u32> = counters.values().map(|c| c.estimate(now, window)).collect();
    let middle = counts.len() / 2;
    let (_, median, _) = counts.select_nth_unstable(middle);
    let median = *median;
    let mut to_drop = middle + 1;
    counters.retain(|_, c| {
        let drop = to_drop > 0 && c.estimate(now, window) <= median;
        to_drop -= usize::from(drop);
        !drop
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn the_limit_holds_per_key_and_slides() {
        let limiter = RateLimiter::new(3, MINUTE, 100);
        let start = Instant::now();
        assert!((0..3).all(|_| limiter.try_acquire_at(&"a", start)));
        assert!(!limiter.try_acquire_at(&"a", start));
        assert!(limiter.try_acquire_at(&"b", start));
        // Half of the window before still counts: 1 of 3.
        let later = start + MINUTE + MINUTE / 2;
        assert!(limiter.try_acquire_at(&"a", later));
        assert!(limiter.try_acquire_at(&"a", later));
        assert!(!limiter.try_acquire_at(&"a", later));
        assert!(limiter.try_acquire_at(&"a", start + MINUTE * 4));
    }

    #[test]
    fn a_flood_of_keys_stays_bounded_and_keeps_the_busy() {
        let limiter = RateLimiter::new(5, MINUTE, 64);
        let now = Instant::now();
        assert!((0..5).all(|_| limiter.try_acquire_at(&u32::MAX, now)));
        for key in 0..10_000 {
            limiter.try_acquire_at(&key, now);
        }
        assert!(limiter.counters.lock().len() <= 64);
        assert!(!limiter.try_acquire_at(&u32::MAX, now));
    }

    #[test]
    fn no_limit_is_no_limit() {
        let limiter = RateLimiter::new(0, MINUTE, 4);
        assert!((0..100).all(|_| limiter.try_acquire(&1)));
        assert!(!limiter.is_exhausted(&1));
    }

    #[test]
    fn failures_are_recorded_and_forgotten() {
        let limiter = RateLimiter::new(2, MINUTE, 4);
        assert_eq!(limiter.record(&1), 1);
        assert!(!limiter.is_exhausted(&1));
        assert_eq!(limiter.record(&1), 2);
        assert!(limiter.is_exhausted(&1));
        limiter.forget(&1);
        assert!(!limiter.is_exhausted(&1));
    }
}
