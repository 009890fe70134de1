//! Good histories pass, bad ones do not.

use super::*;

type Step = (u64, Option<u64>, Change, Option<Marks>);

fn flags(steps: &[Step]) -> Result<(), String> {
    let operations = steps.iter().map(|(called, returned, input, output)| {
        let output = *output;
        Operation {
            called: *called,
            returned: *returned,
            input: *input,
            output,
        }
    });
    check(&Flags, operations.collect())
}

const ADD: Change = Change::Add(1);
const LOOK: Change = Change::Look;

#[test]
fn one_after_the_other_is_as_the_model_says() {
    flags(&[]).unwrap();
    flags(&[
        (0, Some(1), LOOK, Some(0)),
        (2, Some(3), ADD, Some(0)),
        (4, Some(5), LOOK, Some(1)),
        (6, Some(7), Change::Replace(6), Some(0)),
        (8, Some(9), Change::Remove(2), Some(0)),
        (10, Some(11), LOOK, Some(4)),
    ])
    .unwrap();
}

#[test]
fn what_was_told_must_be_seen_by_all_who_look_later() {
    let stale = flags(&[(0, Some(1), ADD, Some(0)), (2, Some(3), LOOK, Some(0))]);
    let text = stale.unwrap_err();
    assert!(text.contains("1 of 2 operations"), "{text}");
    assert!(text.contains("Look"), "{text}");
}

#[test]
fn of_two_at_once_either_may_be_first() {
    for seen in [0, 1] {
        flags(&[(0, Some(9), ADD, Some(0)), (1, Some(2), LOOK, Some(seen))]).unwrap();
    }
    // But nobody looks back: once it was seen it stays.
    let back = flags(&[
        (0, Some(9), ADD, Some(0)),
        (1, Some(2), LOOK, Some(1)),
        (3, Some(4), LOOK, Some(0)),
    ]);
    assert!(back.is_err());
}

#[test]
fn an_answer_that_never_came_may_be_either() {
    for seen in [&[0, 0][..], &[0, 1], &[1, 1]] {
        let mut steps: Vec<Step> = vec![(0, None, ADD, None)];
        for (number, marks) in (1..).zip(seen) {
            steps.push((10 * number, Some(10 * number + 1), LOOK, Some(*marks)));
        }
        flags(&steps).unwrap();
    }
    let back = flags(&[
        (0, None, ADD, None),
        (10, Some(11), LOOK, Some(1)),
        (20, Some(21), LOOK, Some(0)),
    ]);
    assert!(back.is_err());
    // Nobody asked for that one.
    assert!(flags(&[(0, None, ADD, None), (10, Some(11), LOOK, Some(2))]).is_err());
}

#[test]
fn a_change_is_never_lost_nor_applied_twice() {
    let lost = flags(&[
        (0, Some(5), Change::Add(1), Some(0)),
        (1, Some(6), Change::Add(2), Some(0)),
        (7, Some(8), LOOK, Some(2)),
    ]);
    assert!(lost.is_err());
    // Added, taken away, and there again, as if the first had been sent twice.
    let twice = flags(&[
        (0, Some(1), Change::Add(1), Some(0)),
        (2, Some(3), Change::Remove(1), Some(0)),
        (4, Some(5), LOOK, Some(1)),
    ]);
    assert!(twice.is_err());
}

fn grown(uids: &[u32], steps: &[(u64, Option<u64>, Look, Option<usize>)]) -> Result<(), String> {
    let operations = steps.iter().map(|(called, returned, input, output)| {
        let output = *output;
        Operation {
            called: *called,
            returned: *returned,
            input: *input,
            output,
        }
    });
    let model = Growth {
        uids: uids.to_vec(),
    };
    check(&model, operations.collect())
}

#[test]
fn uids_ascend_in_the_order_in_which_messages_are_seen() {
    let append = |called, returned, uid| (called, returned, Look::Append(uid), Some(0));
    grown(
        &[1, 2, 5],
        &[
            append(0, Some(9), 2),
            append(1, Some(8), 1),
            (3, Some(4), Look::Count, Some(1)),
            append(5, None, 5),
            (20, Some(21), Look::Count, Some(3)),
        ],
    )
    .unwrap();
    // The later one has the lower UID.
    let wrong = [append(0, Some(1), 2), append(2, Some(3), 1)];
    assert!(grown(&[1, 2], &wrong).is_err());
    // Answered, and not counted by who looks afterwards.
    let stale = [
        append(0, Some(1), 1),
        append(2, Some(3), 2),
        (4, Some(5), Look::Count, Some(1)),
    ];
    assert!(grown(&[1, 2], &stale).is_err());
}

#[test]
fn long_histories_of_many_clients_take_no_time() {
    // Eight at a time; now and then one more, of which nobody knows.
    let mut steps: Vec<Step> = Vec::new();
    for round in 0..300_u64 {
        let at = 100 * round;
        for bit in 0..8 {
            steps.push((
                at + bit,
                Some(at + 50 + bit),
                Change::Add(1 << bit),
                Some(0),
            ));
        }
        if round % 10 == 0 {
            steps.push((at + 60, None, Change::Remove(0xff), None));
        }
        steps.push((at + 70, Some(at + 71), LOOK, Some(0xff)));
        steps.push((at + 80, Some(at + 81), Change::Replace(0), Some(0)));
    }
    flags(&steps).unwrap();
    steps.push((100_000, Some(100_001), LOOK, Some(3)));
    assert!(flags(&steps[steps.len() - 12..]).is_err());
}
