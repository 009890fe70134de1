//! Chains, bases, gaps, and what is outlived.

use super::*;

fn snapshot(index: u64, hours: u64) -> Archived {
    let id = log_id(2, index);
    let time = Millis(hours * 3600 * 1000);
    let key = Archived::name("c", &id, time, index);
    Archived::parse(&key, 9).unwrap().1
}

fn piece(first: u64, last: u64) -> Piece {
    let piece = Piece {
        first,
        last,
        term: 2,
        time: Millis(last),
        salt: 0xabc,
        bytes: 5,
    };
    assert_eq!(Piece::parse(&piece.key("c"), 5), Some(("c", piece)));
    piece
}

fn lineage(snapshots: &[(u64, u64)], pieces: &[(u64, u64)]) -> Lineage {
    let mut lineage = Lineage {
        cluster: "c".into(),
        snapshots: snapshots.iter().map(|(i, t)| snapshot(*i, *t)).collect(),
        pieces: pieces.iter().map(|(f, l)| piece(*f, *l)).collect(),
    };
    lineage.sort();
    lineage
}

fn hours(hours: u64) -> Millis {
    Millis(hours * 3600 * 1000)
}

fn removed(lineage: &Lineage, cutoff: Millis) -> (Vec<u64>, Vec<u64>) {
    let outlived = lineage.outlived(cutoff);
    let snapshots = outlived.snapshots.iter();
    let index = |key: &String| Archived::parse(key, 0).unwrap().1.id.index;
    let pieces = outlived.pieces.iter().map(|piece| piece.first);
    (snapshots.map(index).collect(), pieces.collect())
}

#[test]
fn pieces_that_overlap_make_one_chain() {
    let it = lineage(
        &[(10, 1)],
        &[(8, 12), (11, 15), (16, 20), (18, 19), (22, 30)],
    );
    assert_eq!(it.reach(10), 20);
    assert_eq!(it.reach(21), 30);
    assert_eq!(it.reach(30), 30);
    let gap = Gap {
        after: 20,
        until: 22,
    };
    assert_eq!(it.gaps(), [gap]);
}

#[test]
fn a_snapshot_bridges_what_is_missing() {
    let it = lineage(&[(10, 1), (25, 2)], &[(11, 20), (26, 30)]);
    let gap = Gap {
        after: 20,
        until: 25,
    };
    assert_eq!(it.gaps(), [gap]);
    let whole = lineage(&[(10, 1), (25, 2)], &[(11, 25), (26, 30)]);
    assert_eq!(whole.gaps(), []);
}

#[test]
fn a_log_is_kept_from_the_first_gap_that_it_fills() {
    let it = lineage(
        &[(10, 1), (25, 2), (50, 3)],
        &[(11, 20), (26, 40), (51, 60)],
    );
    assert_eq!(it.held(5), 20);
    assert_eq!(it.held(20), 20);
    assert_eq!(it.held(21), 40);
    assert_eq!(it.held(41), 60);
    assert_eq!(lineage(&[(10, 1)], &[]).held(30), 10);
    // The first snapshot begins it.
    assert_eq!(lineage(&[], &[]).held(0), u64::MAX);

    assert_eq!(it.time_at(9), None);
    assert_eq!(it.time_at(19), Some(hours(1)));
    assert_eq!(it.time_at(20), Some(Millis(20)));
    assert_eq!(it.time_at(30), Some(hours(2)));
}

#[test]
fn a_moment_is_made_from_the_snapshot_before_it() {
    let it = lineage(&[(10, 1), (20, 5), (30, 4), (40, 9)], &[]);
    let base = |time| it.bases(time).last().map(|found| found.id.index);
    assert_eq!(base(Some(hours(0))), None);
    assert_eq!(base(Some(hours(1))), Some(10));
    // The clock went back between them: no state from after the moment.
    assert_eq!(base(Some(hours(4))), Some(10));
    assert_eq!(base(Some(hours(6))), Some(30));
    assert_eq!(base(None), Some(40));
}

#[test]
fn what_no_kept_moment_needs_is_outlived() {
    let pieces = [(1, 10), (11, 20), (21, 30), (31, 40), (41, 50)];
    let it = lineage(&[(10, 1), (20, 30), (30, 60), (40, 90)], &pieces);
    assert_eq!(removed(&it, hours(0)), (vec![], vec![1]));
    assert_eq!(removed(&it, hours(29)), (vec![], vec![1]));
    assert_eq!(removed(&it, hours(30)), (vec![10], vec![1, 11]));
    // Two are kept whatever their age.
    assert_eq!(removed(&it, hours(900)), (vec![10, 20], vec![1, 11, 21]));
    assert_eq!(
        removed(&lineage(&[], &pieces), hours(900)),
        (vec![], vec![])
    );
    let one = lineage(&[(10, 1)], &pieces);
    assert_eq!(removed(&one, hours(900)), (vec![], vec![1]));
}

#[test]
fn one_snapshot_a_day_is_enough_where_the_log_leads_on() {
    let times = [(10, 1), (20, 2), (30, 3), (40, 25), (50, 26), (60, 27)];
    let whole = lineage(&times, &[(1, 60)]);
    assert_eq!(removed(&whole, hours(0)).0, [20, 30]);
    // The one behind a gap is a beginning of its own.
    let broken = lineage(&times, &[(11, 24), (31, 60)]);
    assert_eq!(removed(&broken, hours(0)).0, [20]);
}

#[test]
fn small_pieces_that_follow_on_each_other_make_a_row() {
    let pieces = [
        (1, 10),
        (11, 20),
        (11, 15),
        (21, 30),
        (32, 40),
        (42, 50),
        (51, 60),
        (61, 70),
        (71, 80),
        (81, 90),
    ];
    let mut it = lineage(&[], &pieces);
    let rows = |it: &Lineage, after| {
        let firsts = |row: Vec<Piece>| row.iter().map(|piece| piece.first).collect::<Vec<_>>();
        let rows = it.rows(6, after).into_iter();
        rows.map(firsts).collect::<Vec<_>>()
    };
    let one = vec![1, 11, 11, 21];
    assert_eq!(rows(&it, 0), [one.clone(), vec![42, 51, 61, 71, 81]]);
    assert_eq!(rows(&it, 50), [[51, 61, 71, 81]]);
    // One that is large enough stays as it is.
    let large = it.pieces.iter_mut().find(|piece| piece.first == 61);
    large.unwrap().bytes = 6;
    assert_eq!(rows(&it, 0), [one, vec![42, 51], vec![71, 81]]);
    assert_eq!(rows(&lineage(&[], &[]), 0), Vec::<Vec<u64>>::new());
}

#[test]
fn strange_names_are_nobodys() {
    for key in [
        "snapshots/c/notes.txt",
        "snapshots/c",
        "snapshots/c/1-2-3.snap",
        "snapshots/c/1-2-3-x.snap",
        "snapshots/c/1-2-3-4-5.snap",
        "log/c/1-2-3-4-5.snap",
    ] {
        assert_eq!(Archived::parse(key, 1), None, "{key}");
        assert_eq!(Piece::parse(key, 1), None, "{key}");
    }
}
