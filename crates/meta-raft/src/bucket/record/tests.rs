//! The rules of a voter, and the record as a Raft log.

use std::collections::BTreeMap;

use openraft::EntryPayload;
use proptest::prelude::*;

use super::*;

fn entry(term: u64, index: u64) -> Entry {
    Entry {
        log_id: log_id(term, index),
        payload: EntryPayload::Blank,
    }
}

fn entries(term: u64, indexes: std::ops::Range<u64>) -> Vec<Entry> {
    indexes.map(|index| entry(term, index)).collect()
}

fn leader(term: u64) -> Vote {
    Vote::new_committed(term, 1)
}

fn record() -> Record {
    let mut record = Record::new(leader(1));
    record
        .append(leader(1), None, entries(1, 0..10), Some(log_id(1, 4)))
        .unwrap();
    record
}

#[test]
fn entries_follow_on_each_other() {
    let mut record = record();
    assert_eq!(record.last, Some(log_id(1, 9)));
    let gap = record.append(leader(1), Some(log_id(1, 10)), entries(1, 11..12), None);
    assert_eq!(gap, Err(Refused::Conflict(log_id(1, 10))));
    let other = record.append(leader(2), Some(log_id(2, 9)), entries(2, 10..12), None);
    assert_eq!(other, Err(Refused::Conflict(log_id(2, 9))));
    // Once more what is there changes nothing.
    let before = record.clone();
    let again = entries(1, 3..7);
    record
        .append(leader(2), Some(log_id(1, 2)), again, None)
        .unwrap();
    assert_eq!((record.last, &record.tail), (before.last, &before.tail));
}

#[test]
fn a_later_leader_replaces_what_was_not_committed() {
    let mut record = record();
    let segment = Segment {
        first: 0,
        last: 9,
        name: 7,
        bytes: 100,
    };
    record.spill(segment);
    record
        .append(leader(3), Some(log_id(1, 5)), entries(3, 6..8), None)
        .unwrap();
    assert_eq!(record.last, Some(log_id(3, 7)));
    assert_eq!(record.segments[0].last, 5);
    assert_eq!(record.id(5), Some(log_id(1, 5)));
    assert_eq!(record.id(6), Some(log_id(3, 6)));
    assert_eq!(record.id(8), None);
    let old = record.append(leader(1), Some(log_id(1, 5)), entries(1, 6..20), None);
    assert_eq!(old, Err(Refused::HigherVote(leader(3))));
}

#[test]
fn a_snapshot_takes_the_place_of_entries() {
    let mut record = record();
    assert!(record.rebase(log_id(1, 6)));
    assert!(!record.rebase(log_id(1, 6)));
    assert_eq!((record.first(), record.last), (7, Some(log_id(1, 9))));
    assert_eq!(record.tail.len(), 3);
    assert_eq!(record.id(6), Some(log_id(1, 6)));
    assert_eq!(record.id(5), None);
    // One that is further than the log.
    assert!(record.rebase(log_id(2, 20)));
    assert_eq!(record.last, Some(log_id(2, 20)));
    assert!(record.tail.is_empty());
    record
        .append(leader(2), Some(log_id(2, 18)), entries(2, 19..23), None)
        .unwrap();
    assert_eq!(record.tail.len(), 2);
}

#[test]
fn it_votes_once_in_a_term_and_for_nobody_who_has_less() {
    let record = record();
    let last = Some(log_id(1, 9));
    let candidate = Vote::new(2, 2);
    assert!(record.would_vote(&candidate, last));
    assert!(!record.would_vote(&candidate, Some(log_id(1, 8))));
    assert!(!record.would_vote(&Vote::new(1, 2), last));
    let mut voted = record.clone();
    voted.vote = candidate;
    assert!(voted.would_vote(&candidate, last));
    assert!(!voted.would_vote(&Vote::new(2, 1), last));
    // Whoever was elected in that term counts, whomever this vote was for.
    voted
        .append(Vote::new_committed(2, 1), last, Vec::new(), None)
        .unwrap();
    assert!(!voted.would_vote(&candidate, last));
}

/// What a leader does: entries from an index on in its term.
#[derive(Clone, Debug)]
enum Step {
    Append {
        back: u64,
        count: u64,
        new_term: bool,
    },
    Spill,
    Rebase {
        back: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..6, 0u64..6, any::<bool>())
            .prop_map(|(back, count, new_term)| Step::Append { back, count, new_term }),
        1 => Just(Step::Spill),
        1 => (0u64..8).prop_map(|back| Step::Rebase { back }),
    ]
}

proptest! {
    /// Against a log that is a map.
    #[test]
    fn it_is_a_raft_log(steps in proptest::collection::vec(step(), 0..40)) {
        let mut record = Record::new(leader(1));
        let mut model: BTreeMap<u64, u64> = BTreeMap::new();
        let (mut now, mut name) = (1, 0);
        for step in steps {
            let next = model.last_key_value().map_or(0, |(last, _)| last + 1);
            match step {
                Step::Append { back, count, new_term } => {
                    now += u64::from(new_term);
                    // Committed entries stay.
                    let from = next.saturating_sub(back).max(record.first());
                    let previous = from.checked_sub(1).map(|at| log_id(model[&at], at));
                    let kept: Vec<u64> = match new_term {
                        true => Vec::new(),
                        false => (from..next).map(|at| model[&at]).collect(),
                    };
                    let sent: Vec<Entry> = (from..from + count.max(kept.len() as u64))
                        .enumerate()
                        .map(|(n, at)| entry(kept.get(n).copied().unwrap_or(now), at))
                        .collect();
                    if let Some(first) = sent.first().filter(|_| new_term) {
                        model.split_off(&first.log_id.index);
                    }
                    model.extend(sent.iter().map(|e| (e.log_id.index, term(&e.log_id))));
                    record.append(leader(now), previous, sent, None).unwrap();
                }
                Step::Spill => {
                    if let (Some(first), Some(last)) = (record.tail.first(), record.tail.last()) {
                        name += 1;
                        let (first, last) = (first.log_id.index, last.log_id.index);
                        record.spill(Segment { first, last, name, bytes: 1 });
                    }
                }
                Step::Rebase { back } => {
                    let at = next.saturating_sub(back + 1);
                    if let Some(term) = model.get(&at) {
                        record.rebase(log_id(*term, at));
                    }
                }
            }
            let last = model.last_key_value().map(|(at, term)| log_id(*term, *at));
            prop_assert_eq!(record.last, last);
            for (at, term) in model.range(record.first()..) {
                prop_assert_eq!(record.id(*at), Some(log_id(*term, *at)));
            }
            // Objects and record hold all entries after the base, each once.
            let mut at = record.first();
            for segment in &record.segments {
                prop_assert!(segment.first <= at && segment.last >= at);
                at = segment.last + 1;
            }
            for entry in &record.tail {
                prop_assert_eq!(entry.log_id.index, at);
                at += 1;
            }
            prop_assert_eq!(at, last.map_or(0, |last| last.index + 1).max(record.first()));
        }
    }
}
