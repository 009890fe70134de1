//! Sequence sets (RFC 3501 §9): `1:3,7,*`.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use super::error::Problem;
use super::input::Input;

/// A sequence number or UID in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceNumber {
    /// This one.
    Number(NonZeroU32),
    /// `*`: the highest in the mailbox.
    Last,
}

impl SequenceNumber {
    fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        if input.eat(b'*') {
            return Ok(Self::Last);
        }
        let number = input.number("a message number, * or a set of them")?;
        NonZeroU32::new(number)
            .map(Self::Number)
            .ok_or(Problem::Value("message numbers start at 1"))
    }

    const fn resolve(self, last: u32) -> u32 {
        match self {
            Self::Number(number) => number.get(),
            Self::Last => last,
        }
    }
}

/// Both ends belong to the range; either may be the higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceRange(pub SequenceNumber, pub SequenceNumber);

/// A set of sequence numbers or UIDs, as sent: 1 to [`SequenceSet::MAX_RANGES`]
/// ranges in any order, overlapping or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSet(Vec<SequenceRange>);

impl SequenceSet {
    /// The most ranges in a set.
    pub const MAX_RANGES: usize = 20_000;

    pub(super) fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        if input.peek() == Some(b'$') {
            return Err(Problem::Value("$ is not supported"));
        }
        let mut ranges = Vec::new();
        loop {
            let first = SequenceNumber::parse(input)?;
            let last = if input.eat(b':') {
                SequenceNumber::parse(input)?
            } else {
                first
            };
            if ranges.len() == Self::MAX_RANGES {
                return Err(Problem::Value(
                    "too many ranges in a set, at most 20000 are allowed",
                ));
            }
            ranges.push(SequenceRange(first, last));
            if !input.eat(b',') {
                return Ok(Self(ranges));
            }
        }
    }

    /// The ranges as sent.
    pub fn ranges(&self) -> &[SequenceRange] {
        &self.0
    }

    /// The set as closed ranges, ascending, merged, without overlap. `last` is
    /// what `*` stands for: the number of messages, or the highest UID; 0 in an
    /// empty mailbox, where `*` stands for nothing.
    ///
    /// As RFC 3501 §6.4.8 wants, `559:*` holds the last message even if its UID
    /// is below 559. Numbers above `last` are kept: for sequence numbers the
    /// session compares the end of the last range with the number of messages.
    pub fn resolve(&self, last: u32) -> Vec<RangeInclusive<u32>> {
        let mut ranges: Vec<(u32, u32)> = self
            .0
            .iter()
            .map(|range| {
                let (a, b) = (range.0.resolve(last), range.1.resolve(last));
                (a.min(b).max(1), a.max(b))
            })
            .filter(|(low, high)| low <= high)
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<RangeInclusive<u32>> = Vec::with_capacity(ranges.len());
        for (low, high) in ranges {
            match merged.last_mut() {
                Some(previous) if low <= previous.end().saturating_add(1) => {
                    if high > *previous.end() {
                        *previous = *previous.start()..=high;
                    }
                }
                _ => merged.push(low..=high),
            }
        }
        merged
    }

    /// Whether `*` stands in the set.
    pub fn names_last(&self) -> bool {
        self.0
            .iter()
            .any(|r| r.0 == SequenceNumber::Last || r.1 == SequenceNumber::Last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SequenceSet, Problem> {
        let mut input = Input::new(text.as_bytes());
        let set = SequenceSet::parse(&mut input)?;
        input.end()?;
        Ok(set)
    }

    #[test]
    fn sets_resolve_to_merged_ascending_ranges() {
        for (text, last, want) in [
            ("1", 9, vec![1..=1]),
            ("*", 9, vec![9..=9]),
            ("*", 0, vec![]),
            ("1:*", 0, vec![1..=1]),
            ("*:3", 9, vec![3..=9]),
            ("12:*", 9, vec![9..=12]),
            ("7,1:3,2:5,6", 9, vec![1..=7]),
            ("5:3,1", 9, vec![1..=1, 3..=5]),
            (
                "4294967295,1,4294967294:*",
                u32::MAX,
                vec![1..=1, 4294967294..=u32::MAX],
            ),
        ] {
            assert_eq!(parse(text).unwrap().resolve(last), want, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "0",
            "1,",
            ",1",
            "1:",
            "a",
            "1:2:3",
            "4294967296",
            "-1",
            "$",
            "1;2",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let many = "1,".repeat(SequenceSet::MAX_RANGES) + "1";
        assert!(matches!(parse(&many), Err(Problem::Value(_))));
    }

    proptest::proptest! {
        #[test]
        fn resolving_keeps_exactly_the_members(
            ranges in proptest::collection::vec((1u32..40, 1u32..40), 1..10),
        ) {
            let text = ranges.iter().map(|(a, b)| format!("{a}:{b}")).collect::<Vec<_>>().join(",");
            let resolved = parse(&text).unwrap().resolve(39);
            for n in 1..40 {
                let member = ranges.iter().any(|&(a, b)| (a.min(b)..=a.max(b)).contains(&n));
                let found = resolved.iter().filter(|r| r.contains(&n)).count();
                proptest::prop_assert_eq!(found, usize::from(member));
            }
        }
    }
}
