//! What one process tells, another takes over.

use std::net::IpAddr;

use super::*;
use crate::Busy;

const MINUTE: Duration = Duration::from_secs(60);

fn counting() -> Counts {
    let counts = Counts::new();
    counts.note_changes();
    counts
}

fn ip(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

#[test]
fn a_limit_that_is_reached_here_is_reached_there() {
    let (here, there) = (counting(), counting());
    let key = Key::address(ip(1));
    let limit = here.rate("logins", 10, MINUTE, 100);
    (0..10).for_each(|_| limit.record(key));
    let limit = there.rate("logins", 10, MINUTE, 100);
    assert!(!limit.is_exhausted(key));
    there.merge(&here.take_changes(100), false);
    assert!(limit.is_exhausted(key));
    // Another name, or another window, is another limit.
    assert!(!there.rate("mails", 10, MINUTE, 100).is_exhausted(key));
    assert!(!there.rate("logins", 10, 2 * MINUTE, 100).is_exhausted(key));
    // Nothing of that is a change of the other process.
    assert!(there.take_changes(100).is_empty());
}

#[test]
fn one_that_comes_later_is_told_everything_and_tells_it_on() {
    let (first, hub, late) = (counting(), counting(), counting());
    let key = Key::address(ip(1));
    let limit = first.rate("logins", 3, MINUTE, 100);
    (0..3).for_each(|_| limit.record(key));
    let gate = first.gate("imap", 10, 2);
    let _held = [gate.enter(ip(1)).unwrap(), gate.enter(ip(1)).unwrap()];
    // The one between has none of these limits itself.
    hub.merge(&first.take_changes(100), true);
    assert_eq!(hub.holders(), [first.origin()]);
    let told = hub.take_changes(100);
    late.merge(&told, false);
    assert!(late.rate("logins", 3, MINUTE, 100).is_exhausted(key));
    let gate = late.gate("imap", 10, 2);
    assert_eq!(gate.enter(ip(1)).unwrap_err(), Busy::PerAddress);
    let later = counting();
    later.merge(&late.everything(), false);
    assert!(later.rate("logins", 3, MINUTE, 100).is_exhausted(key));
    assert_eq!(later.holders(), [first.origin()]);
}

#[test]
fn what_a_process_held_goes_with_it() {
    let (a, b, c) = (counting(), counting(), counting());
    let (at_a, at_b) = (a.gate("imap", 9, 2), b.gate("imap", 9, 2));
    let at_c = c.gate("imap", 9, 2);
    let _first = at_a.enter(ip(1)).unwrap();
    let second = at_b.enter(ip(1)).unwrap();
    c.merge(&a.take_changes(9), false);
    c.merge(&b.take_changes(9), false);
    assert_eq!(at_c.enter(ip(1)).unwrap_err(), Busy::PerAddress);
    drop(second);
    c.merge(&b.take_changes(9), false);
    let third = at_c.enter(ip(1)).unwrap();
    assert_eq!(at_c.enter(ip(1)).unwrap_err(), Busy::PerAddress);
    let lost = a.origin();
    c.replace_held(&[], |origin| origin == lost, false);
    assert_eq!(c.holders(), []);
    let fourth = at_c.enter(ip(1)).unwrap();
    // One's own is never replaced by what others say.
    c.replace_held(&[], |_| true, false);
    assert_eq!(at_c.enter(ip(1)).unwrap_err(), Busy::PerAddress);
    drop((third, fourth));
}

#[test]
fn more_connections_than_fit_are_told_with_the_next() {
    let (a, b) = (counting(), counting());
    let gate = a.gate("imap", 1000, 10);
    let held: Vec<_> = (0..25).map(|n| gate.enter(ip(n)).unwrap()).collect();
    let mut parts = 0;
    loop {
        let part = a.take_changes(10);
        if part.is_empty() {
            break;
        }
        b.merge(&part, true);
        parts += 1;
    }
    assert_eq!(parts, 3);
    assert_eq!(b.everything().held[0].1.len(), 25);
    drop(held);
    b.merge(&a.take_changes(100), true);
    assert!(b.everything().held.is_empty());
}

#[test]
fn unknown_names_without_number_are_not_kept() {
    let counts = counting();
    for n in 0..1000 {
        let key = Key::from_bits(1);
        let name: Arc<str> = format!("limit-{n}").into();
        let held = vec![Held {
            key,
            origin: 1,
            count: 1,
        }];
        let report = Report {
            events: vec![(name.clone(), 1000, Vec::new())],
            held: vec![(name, held)],
        };
        counts.merge(&report, true);
    }
    assert_eq!(counts.rates().len(), MAX_UNKNOWN);
    assert_eq!(counts.helds().len(), MAX_UNKNOWN);
}

#[tokio::test]
async fn a_change_wakes_who_waits_for_one() {
    let counts = counting();
    let limit = counts.rate("logins", 3, MINUTE, 100);
    limit.record(Key::text("ann"));
    counts.changed().await;
    counts.take_changes(9);
    let again = tokio::spawn({
        let counts = counts.clone();
        async move { counts.changed().await }
    });
    limit.record(Key::text("ann"));
    again.await.unwrap();
}
