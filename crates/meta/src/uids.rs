//! Reading the messages that a set of UIDs names: single ones by key, ranges by
//! range, never more than the caller can take.

use postrider_kv::{self as kv, Range, Read};
use postrider_types::{AccountId, MailboxId, Uid};

use crate::api::Refusal;
use crate::view::UidRanges;
use crate::{key, limit, row};

/// Single UIDs are looked up so many at a time.
const LOOKUP: usize = 1_000;

/// UIDs as closed ranges that ascend, apart from each other: whatever the
/// caller sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uids(Vec<(u32, u32)>);

impl Uids {
    /// Those of `ranges`.
    pub(crate) fn new(ranges: &UidRanges) -> Self {
        let mut all: Vec<(u32, u32)> = ranges
            .0
            .iter()
            .map(|range| ((*range.start()).max(1), *range.end()))
            .filter(|(start, end)| start <= end)
            .collect();
        if !all.is_sorted_by(|a, b| a.1 < b.0) {
            all.sort_unstable();
            all.dedup_by(|next, range| {
                let meets = next.0 <= range.1.saturating_add(1);
                if meets {
                    range.1 = range.1.max(next.1);
                }
                meets
            });
        }
        Self(all)
    }

    /// Those of a command, which takes only so many ranges.
    pub(crate) fn of_command(ranges: &UidRanges) -> Result<Self, Refusal> {
        if ranges.0.len() > limit::UID_RANGES {
            return Err(Refusal::Limit(format!(
                "a command names at most {} ranges of UIDs",
                limit::UID_RANGES
            )));
        }
        Ok(Self::new(ranges))
    }

    /// Whether `uid` is one of them.
    pub(crate) fn contains(&self, uid: Uid) -> bool {
        let after = self.0.partition_point(|(start, _)| *start <= uid.0);
        after > 0 && self.0[after - 1].1 >= uid.0
    }

    /// The smallest.
    pub(crate) fn first(&self) -> Option<Uid> {
        self.0.first().map(|(start, _)| Uid(*start))
    }

    /// Those from `uid` on.
    #[must_use]
    pub(crate) fn from(mut self, uid: Uid) -> Self {
        let before = self.0.partition_point(|(_, end)| *end < uid.0);
        self.0.drain(..before);
        if let Some((start, _)) = self.0.first_mut() {
            *start = (*start).max(uid.0);
        }
        self
    }

    /// The UIDs that were asked for singly.
    pub(crate) fn singles(&self) -> impl Iterator<Item = Uid> {
        let single = self.0.iter().filter(|(start, end)| start == end);
        single.map(|(uid, _)| Uid(*uid))
    }

    /// The messages among them that exist, ascending, at most `limit`.
    pub(crate) async fn messages(
        &self,
        read: &impl Read,
        account: AccountId,
        mailbox: MailboxId,
        limit: usize,
    ) -> kv::Result<Vec<(Uid, row::Message)>> {
        let mut found = Vec::new();
        let mut rest = self.0.as_slice();
        while let Some((start, end)) = rest.first()
            && found.len() < limit
        {
            let singles = rest.iter().take(LOOKUP).take_while(|(a, b)| a == b).count();
            if singles == 0 {
                let range = Range {
                    start: key::message(account, mailbox, Uid(*start)),
                    end: kv::key::successor(&key::message(account, mailbox, Uid(*end))),
                    limit: limit - found.len(),
                    reverse: false,
                };
                for (key, row) in row::range(read, range).await? {
                    found.push((key::uid_of(&key).ok_or_else(|| row::bad_key(&key))?, row));
                }
                rest = &rest[1..];
                continue;
            }
            let uids: Vec<Uid> = rest[..singles].iter().map(|(uid, _)| Uid(*uid)).collect();
            found.extend(existing(read, account, mailbox, &uids).await?);
            rest = &rest[singles..];
        }
        found.truncate(limit);
        Ok(found)
    }
}

/// The messages among `uids` that exist, in the order of `uids`.
pub(crate) async fn existing(
    read: &impl Read,
    account: AccountId,
    mailbox: MailboxId,
    uids: &[Uid],
) -> kv::Result<Vec<(Uid, row::Message)>> {
    let keys: Vec<_> = uids
        .iter()
        .map(|uid| key::message(account, mailbox, *uid))
        .collect();
    let rows = row::get_many(read, &keys).await?;
    let pairs = uids.iter().zip(rows);
    Ok(pairs
        .filter_map(|(uid, row)| row.map(|row| (*uid, row)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_ranges_become_ascending_ones() {
        let uids = |ranges: &[(u32, u32)]| {
            let ranges = ranges.iter().map(|(a, b)| *a..=*b).collect();
            Uids::new(&UidRanges(ranges))
        };
        assert_eq!(uids(&[(1, 3), (5, 5)]).0, [(1, 3), (5, 5)]);
        assert_eq!(uids(&[(5, 9), (1, 6), (0, 1)]).0, [(1, 9)]);
        assert_eq!(uids(&[(7, 3), (2, 2), (2, 2)]).0, [(2, 2)]);
        let some = uids(&[(2, 4), (9, u32::MAX)]);
        assert!(
            [2, 4, 9, u32::MAX]
                .map(Uid)
                .iter()
                .all(|uid| some.contains(*uid))
        );
        assert!([1, 5, 8].map(Uid).iter().all(|uid| !some.contains(*uid)));
    }
}
