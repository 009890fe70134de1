//! The limits over time, alone and merged with what others say.

use super::*;

const MINUTE: u64 = 60_000;
/// The begin of a window.
const START: u64 = 29_000_000 * MINUTE;

fn key(n: u64) -> Key {
    Key::from_bits(n)
}

fn limiter(limit: u32, capacity: usize) -> RateLimiter {
    RateLimiter::new(limit, Duration::from_millis(MINUTE), capacity)
}

fn event(n: u64, origin: u64, window: u64, count: u32) -> Event {
    Event {
        key: key(n),
        origin,
        window: START / MINUTE + window,
        count,
    }
}

#[test]
fn the_limit_holds_per_key_and_slides() {
    let limiter = limiter(3, 100);
    let start = START + MINUTE - 1;
    assert!((0..3).all(|_| limiter.try_acquire_at(key(1), start)));
    assert!(!limiter.try_acquire_at(key(1), start));
    assert!(limiter.try_acquire_at(key(2), start));
    // The turn of the window frees nothing at once.
    assert!(!limiter.try_acquire_at(key(1), start + 2));
    // Half of the window before still counts: 1.5, rounded to 2 of 3.
    let later = START + MINUTE + MINUTE / 2;
    assert!(limiter.try_acquire_at(key(1), later));
    assert!(!limiter.try_acquire_at(key(1), later));
    assert!(limiter.try_acquire_at(key(1), START + MINUTE * 4));
}

#[test]
fn a_flood_of_keys_stays_bounded_and_keeps_the_busy() {
    let limiter = limiter(5, 64);
    assert!((0..5).all(|_| limiter.try_acquire_at(key(u64::MAX), START)));
    for n in 0..10_000 {
        limiter.try_acquire_at(key(n), START);
    }
    assert!(limiter.table.len() <= 64);
    assert!(!limiter.try_acquire_at(key(u64::MAX), START));
    // Nor does one that comes from elsewhere.
    let flood: Vec<Event> = (0..10_000).map(|n| event(n, 7, 0, 1)).collect();
    limiter.table.merge(&flood, START, true);
    assert!(limiter.table.len() <= 64);
    assert!(!limiter.try_acquire_at(key(u64::MAX), START));
}

#[test]
fn no_limit_is_no_limit() {
    let limiter = limiter(0, 4);
    assert!((0..100).all(|_| limiter.try_acquire(key(1))));
    limiter.record(key(1));
    assert!(!limiter.is_exhausted(key(1)));
    assert_eq!(limiter.table.len(), 0);
}

#[test]
fn recorded_events_exhaust_the_limit() {
    let limiter = limiter(2, 4);
    limiter.record(key(1));
    assert!(!limiter.is_exhausted(key(1)));
    limiter.record(key(1));
    assert!(limiter.is_exhausted(key(1)));
    assert!(!limiter.is_exhausted(key(2)));
}

#[test]
fn what_others_counted_adds_up_however_often_it_is_told() {
    let limiter = limiter(10, 100);
    let table = &limiter.table;
    assert!((0..3).all(|_| limiter.try_acquire_at(key(1), START)));
    for _ in 0..3 {
        table.merge(&[event(1, 7, 0, 4), event(1, 8, 0, 2)], START, false);
    }
    // Late, and overtaken.
    table.merge(&[event(1, 7, 0, 1)], START, false);
    assert_eq!(table.estimate(key(1), START), 9);
    assert!(limiter.try_acquire_at(key(1), START));
    assert!(!limiter.try_acquire_at(key(1), START));
    // Our own count, told by another, is no other's.
    table.merge(&[event(1, table.origin, 0, 50)], START, false);
    assert_eq!(table.estimate(key(1), START), 10);
}

#[test]
fn the_window_before_is_taken_over_too_and_older_ones_are_not() {
    let limiter = limiter(10, 100);
    let table = &limiter.table;
    let now = START + 2 * MINUTE;
    table.merge(&[event(1, 7, 2, 1), event(1, 7, 1, 6)], now, false);
    assert_eq!(table.estimate(key(1), now), 7);
    assert_eq!(table.estimate(key(1), now + MINUTE / 2), 4);
    table.merge(&[event(2, 7, 0, 9), event(3, 7, 9, 9)], now, false);
    assert_eq!(table.estimate(key(2), now), 0);
    assert_eq!(table.estimate(key(3), now), 0);
    assert_eq!(table.len(), 1);
    // In the other order the same.
    table.merge(&[event(4, 7, 1, 6), event(4, 7, 2, 1)], now, false);
    assert_eq!(table.estimate(key(4), now), 7);
}

#[test]
fn a_clock_that_is_a_little_ahead_counts() {
    let limiter = limiter(10, 100);
    let now = START + MINUTE - 10;
    limiter.table.merge(&[event(1, 7, 1, 4)], now, false);
    assert_eq!(limiter.table.estimate(key(1), now), 4);
    assert_eq!(limiter.table.estimate(key(1), now + 10), 4);
}

#[test]
fn processes_without_number_do_not_grow_a_key() {
    let limiter = limiter(u32::MAX, 100);
    for origin in 1..1000 {
        limiter.table.merge(&[event(1, origin, 0, 1)], START, false);
    }
    assert_eq!(limiter.table.estimate(key(1), START), MAX_ORIGINS as u32);
    // Those that no longer count make room.
    let later = START + 5 * MINUTE;
    limiter.table.merge(&[event(1, 5000, 5, 3)], later, false);
    assert_eq!(limiter.table.estimate(key(1), later), 3);
}

#[test]
fn changes_are_told_once_and_only_if_somebody_listens() {
    let signal = Arc::<Signal>::default();
    let table = Arc::new(RateTable::new(MINUTE, 1, signal, 100));
    let limiter = RateLimiter::over(table.clone(), 100);
    limiter.try_acquire_at(key(1), START);
    assert_eq!(table.take_changes(10), []);
    let counts = Counts::new();
    counts.note_changes();
    let limiter = counts.rate("test", 100, Duration::from_millis(MINUTE), 100);
    let table = &limiter.table;
    for _ in 0..3 {
        limiter.try_acquire_at(key(1), START);
    }
    table.merge(&[event(1, 7, 0, 4)], START, false);
    assert_eq!(table.take_changes(10), [event(1, counts.origin(), 0, 3)]);
    assert_eq!(table.take_changes(10), []);
    // Told on where that is asked for, and only what is new.
    table.merge(&[event(1, 7, 0, 5), event(1, 7, 0, 4)], START, true);
    assert_eq!(table.take_changes(10), [event(1, 7, 0, 5)]);
    table.merge(&[event(1, 7, 0, 5)], START, true);
    assert_eq!(table.take_changes(10), []);
    // The highest first, where there are too many.
    let many: Vec<Event> = (0..100).map(|n| event(n, 9, 0, n as u32 + 1)).collect();
    table.merge(&many, START, true);
    let told = table.take_changes(10);
    assert_eq!(told.len(), 10);
    assert!(told.iter().all(|event| event.count > 90));
}

#[test]
fn marks_stay_for_one_to_two_spans_and_are_told_once() {
    let counts = Counts::new();
    counts.note_changes();
    let marks = counts.marks("test", Duration::from_millis(MINUTE), 100);
    marks.set_at(key(1), START);
    marks.set_at(key(1), START + 1);
    let told = marks.0.take_changes(10);
    assert_eq!(told, [event(1, counts.origin(), 0, 1)]);
    assert!(marks.contains_at(key(1), START + 2 * MINUTE - 1));
    assert!(!marks.contains_at(key(1), START + 2 * MINUTE));
    assert!(!marks.contains_at(key(2), START));
    let other = Counts::new().marks("test", Duration::from_millis(MINUTE), 100);
    other.0.merge(&told, START, false);
    assert!(other.contains_at(key(1), START));
}

#[test]
fn many_at_once_count_together_or_not_at_all() {
    let limiter = RateLimiter::new(5, Duration::from_secs(60), 10);
    assert!(limiter.try_acquire_many_at(key(1), 3, START));
    assert!(!limiter.try_acquire_many_at(key(1), 3, START));
    assert!(
        limiter.try_acquire_many_at(key(1), 2, START),
        "none of them counted"
    );
    assert!(!limiter.try_acquire_at(key(1), START));
    assert!(!limiter.try_acquire_many_at(key(2), u32::MAX, START));
}
