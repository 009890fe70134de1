//! Which keys lie in which keyspace of the engine. A keyspace has memory, files and
//! compaction of its own, so that what comes and goes in one is not rewritten and
//! not read over with the others. Knows no values; one order of keys over all.
//!
//! Inline bodies are most of what is written, and gone again within a minute; the
//! queue and the history of messages may be long, and are seldom read (ADR 0040).

use std::ops::Bound;

/// A keyspace: its place in [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space(usize);

/// All keyspaces of the state.
pub(super) const NAMES: [&str; 3] = ["data", "inline", "queue"];

const DATA: Space = Space(0);
const INLINE: Space = Space(1);
const QUEUE: Space = Space(2);

/// Where what begins, in order: each goes up to the next.
const PARTS: [(&[u8], Space); 14] = [
    (b"", DATA),
    // The history of messages.
    (b"gH", QUEUE),
    (b"gI", DATA),
    // Turns of destinations.
    (b"gK", QUEUE),
    (b"gL", DATA),
    // Entries of the queue.
    (b"gQ", QUEUE),
    (b"gR", DATA),
    // Destinations.
    (b"ge", QUEUE),
    (b"gf", DATA),
    (b"gi", INLINE),
    // Ends of leases, and what may be leased.
    (b"gj", QUEUE),
    (b"gl", DATA),
    // Alarms.
    (b"gy", QUEUE),
    (b"gz", DATA),
];

impl Space {
    /// The keyspace of a key.
    pub(super) fn of(key: &[u8]) -> Self {
        let next = PARTS.partition_point(|(start, _)| *start <= key);
        // The first part begins with the first key of all.
        PARTS[next - 1].1
    }

    /// Its place among all.
    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// A piece of a range that lies in one keyspace.
pub(super) type Piece<'a> = (Space, (Bound<&'a [u8]>, Bound<&'a [u8]>));

/// The pieces of the range from `start` to `end` (excluded; None for the end of
/// all), in order.
pub(super) fn pieces<'a>(
    start: &'a [u8],
    end: Option<&'a [u8]>,
) -> impl DoubleEndedIterator<Item = Piece<'a>> {
    PARTS.iter().enumerate().filter_map(move |(at, part)| {
        let (first, space) = *part;
        let next = PARTS.get(at + 1).map(|(next, _)| *next);
        let from = start.max(first);
        let to = [end, next].into_iter().flatten().min();
        let to = match to {
            Some(to) if from < to => Bound::Excluded(to),
            Some(_) => return None,
            None => Bound::Unbounded,
        };
        Some((space, (Bound::Included(from), to)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_in_order_and_cover_everything() {
        assert_eq!(PARTS[0].0, b"");
        assert!(PARTS.is_sorted_by(|(a, _), (b, _)| a < b));
        assert!(PARTS.iter().all(|(_, space)| space.index() < NAMES.len()));
    }

    #[test]
    fn a_key_lies_in_the_keyspace_of_its_table() {
        let names = |key: &[u8]| NAMES[Space::of(key).index()];
        for tag in b"HKQejky" {
            for end in [&b""[..], b"\0", b"\xff\xff"] {
                let key = [&b"g"[..], &[*tag], end].concat();
                assert_eq!(names(&key), "queue");
            }
        }
        assert_eq!(names(b"gi\x01"), "inline");
        for key in [&b""[..], b"g", b"a\x01m", b"gb", b"gs", b"gv", b"gz", b"z"] {
            assert_eq!(names(key), "data");
        }
    }

    #[test]
    fn a_range_falls_into_pieces_in_order() {
        let spaces = |start: &[u8], end: Option<&[u8]>| -> Vec<_> {
            let pieces = pieces(start, end);
            pieces.map(|(space, _)| NAMES[space.index()]).collect()
        };
        assert_eq!(spaces(b"", None).len(), PARTS.len());
        assert_eq!(spaces(b"gQ", Some(b"gR")), ["queue"]);
        assert_eq!(spaces(b"gg", Some(b"gj")), ["data", "inline"]);
        assert_eq!(spaces(b"gi1", Some(b"gi2")), ["inline"]);
        assert!(spaces(b"gR", Some(b"gQ")).is_empty());
        let all: Vec<_> = pieces(b"gh", Some(b"gj\x01")).collect();
        let bounds = |from, to| (Bound::Included(from), Bound::Excluded(to));
        assert_eq!(
            all,
            [
                (DATA, bounds(&b"gh"[..], &b"gi"[..])),
                (INLINE, bounds(b"gi", b"gj")),
                (QUEUE, bounds(b"gj", b"gj\x01")),
            ]
        );
    }
}
