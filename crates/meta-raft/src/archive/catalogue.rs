//! What lies in the archive, read off the names of its objects: which snapshots
//! there are, how far the log reaches from each, and what has outlived its time.
//! Pure but for the listing.

use futures::TryStreamExt;
use postrider_blob::Store;
use postrider_types::Millis;

use super::{LOG, SNAPSHOTS, failed};
use crate::error::Result;
use crate::raft::{LogId, log_id, term};

/// So many snapshots are kept in any case: the one before the newest may be in use.
const KEPT: usize = 2;
const DAY: u64 = 24 * 3600 * 1000;

/// A snapshot in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Archived {
    /// Its object.
    pub(crate) key: String,
    /// The last entry in it.
    pub(crate) id: LogId,
    /// When the last batch in it was evaluated.
    pub(crate) time: Millis,
    /// Its length.
    pub(crate) bytes: u64,
}

/// A piece of the log in the archive. Small: there may be many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Piece {
    /// The index of the first entry.
    pub(crate) first: u64,
    /// The index of the last entry.
    pub(crate) last: u64,
    /// The term of the last entry.
    pub(crate) term: u64,
    /// When the last batch in it was evaluated.
    pub(crate) time: Millis,
    /// Makes its key its own.
    pub(crate) salt: u64,
    /// Its length.
    pub(crate) bytes: u64,
}

impl Archived {
    pub(super) fn parse(key: &str, bytes: u64) -> Option<(&str, Self)> {
        let (cluster, name) = of_cluster(key, SNAPSHOTS)?;
        let [term, index, time, _] = numbers(name.strip_suffix(".snap")?)?;
        let found = Self {
            key: key.to_owned(),
            id: log_id(term, index),
            time: Millis(time),
            bytes,
        };
        Some((cluster, found))
    }

    pub(super) fn name(cluster: &str, id: &LogId, time: Millis, salt: u64) -> String {
        format!(
            "{SNAPSHOTS}/{cluster}/{:020}-{:020}-{:020}-{salt:016x}.snap",
            term(id),
            id.index,
            time.0
        )
    }
}

impl Piece {
    pub(super) fn parse(key: &str, bytes: u64) -> Option<(&str, Self)> {
        let (cluster, name) = of_cluster(key, LOG)?;
        let (first, rest) = name.strip_suffix(".seg")?.split_once('-')?;
        let [last, term, time, salt] = numbers(rest)?;
        let found = Self {
            first: first.parse().ok()?,
            last,
            term,
            time: Millis(time),
            salt,
            bytes,
        };
        Some((cluster, found))
    }

    /// Its object's key.
    pub(crate) fn key(&self, cluster: &str) -> String {
        format!(
            "{LOG}/{cluster}/{:020}-{:020}-{:020}-{:020}-{:016x}.seg",
            self.first, self.last, self.term, self.time.0, self.salt
        )
    }
}

/// The cluster and the name in a key below `root`.
fn of_cluster<'a>(key: &'a str, root: &str) -> Option<(&'a str, &'a str)> {
    key.strip_prefix(root)?.strip_prefix('/')?.split_once('/')
}

/// Three decimal numbers and a hexadecimal one.
fn numbers(text: &str) -> Option<[u64; 4]> {
    let mut parts = text.split('-');
    let mut decimal = || parts.next()?.parse().ok();
    let (a, b, c) = (decimal()?, decimal()?, decimal()?);
    let salt = u64::from_str_radix(parts.next()?, 16).ok()?;
    parts.next().is_none().then_some([a, b, c, salt])
}

/// What the archive of one cluster holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The cluster's id.
    pub cluster: String,
    /// By the last entry in them.
    pub(crate) snapshots: Vec<Archived>,
    /// By their first entries.
    pub(crate) pieces: Vec<Piece>,
}

/// Entries that are in no piece of the log: after the first, before the second
/// index a state can be had as it was at no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last entry before it.
    pub after: u64,
    /// The entry with which it ends: that of a snapshot, or the first of a piece.
    pub until: u64,
}

/// What may be removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outlived {
    pub(super) snapshots: Vec<String>,
    pub(super) pieces: Vec<Piece>,
}

/// All clusters that `store` holds an archive of, by their ids.
pub(super) async fn read(store: &Store, only: Option<&str>) -> Result<Vec<Lineage>> {
    let below = |root: &str| only.map_or(root.to_owned(), |cluster| format!("{root}/{cluster}"));
    let mut found = std::collections::BTreeMap::<String, Lineage>::new();
    let mut listed = store.list(&below(SNAPSHOTS));
    // What has another name is not ours.
    while let Some(item) = listed.try_next().await.map_err(failed)? {
        if let Some((cluster, snapshot)) = Archived::parse(&item.key, item.size) {
            let lineage = found.entry(cluster.to_owned()).or_default();
            lineage.snapshots.push(snapshot);
        }
    }
    let mut listed = store.list(&below(LOG));
    while let Some(item) = listed.try_next().await.map_err(failed)? {
        if let Some((cluster, piece)) = Piece::parse(&item.key, item.size) {
            let lineage = found.entry(cluster.to_owned()).or_default();
            lineage.pieces.push(piece);
        }
    }
    let sorted = found.into_iter().map(|(cluster, mut lineage)| {
        lineage.cluster = cluster;
        lineage.sort();
        lineage
    });
    Ok(sorted.collect())
}

impl Lineage {
    fn sort(&mut self) {
        let by_entry = |a: &Archived, b: &Archived| (a.id, &a.key).cmp(&(b.id, &b.key));
        self.snapshots.sort_by(by_entry);
        self.pieces.sort_unstable();
    }

    /// The moment up to which it can be recovered; None where nothing is in it.
    pub fn newest(&self) -> Option<Millis> {
        let snapshot = self.snapshots.last().map(|snapshot| snapshot.time);
        snapshot.max(self.pieces.last().map(|piece| piece.time))
    }

    /// The moment from which on it can be recovered.
    pub fn oldest(&self) -> Option<Millis> {
        self.snapshots.first().map(|snapshot| snapshot.time)
    }

    /// Whether any state can be had from it.
    pub fn is_of_use(&self) -> bool {
        !self.snapshots.is_empty()
    }

    /// How many snapshots and pieces of the log there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.snapshots.len(), self.pieces.len())
    }

    /// The last entry that can be had by going on from the one at `index`.
    pub(crate) fn reach(&self, index: u64) -> u64 {
        let mut at = index;
        for piece in &self.pieces {
            if piece.first > at.saturating_add(1) {
                break;
            }
            at = at.max(piece.last);
        }
        at
    }

    /// The last entry up to which nothing is missing that a log which begins after the
    /// one at `purged` may have. Without a snapshot nothing is: the first begins it all.
    pub(crate) fn held(&self, purged: u64) -> u64 {
        let Some(newest) = self.snapshots.last() else {
            return u64::MAX;
        };
        let gaps = self.gaps();
        let gap = gaps.iter().find(|gap| gap.after >= purged);
        gap.map_or_else(|| self.reach(newest.id.index), |gap| gap.after)
    }

    /// When the last batch up to the entry at `index` was evaluated.
    pub(crate) fn time_at(&self, index: u64) -> Option<Millis> {
        let snapshots = self.snapshots.iter().map(|it| (it.id.index, it.time));
        let pieces = self.pieces.iter().map(|it| (it.last, it.time));
        let before = snapshots.chain(pieces).filter(|(last, _)| *last <= index);
        before.max_by_key(|(last, _)| *last).map(|(_, time)| time)
    }

    /// The snapshots from which the state at `time` can be made: those before the
    /// first that is younger, for the clock may have jumped. The last is the best.
    pub(crate) fn bases(&self, time: Option<Millis>) -> &[Archived] {
        &self.snapshots[..self.until(time)]
    }

    /// How many snapshots come before the first that is younger than `time`.
    fn until(&self, time: Option<Millis>) -> usize {
        let younger = |snapshot: &Archived| time.is_some_and(|time| snapshot.time > time);
        let first = self.snapshots.iter().position(younger);
        first.unwrap_or(self.snapshots.len())
    }

    /// Where entries are missing between the snapshots.
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let mut snapshots = self.snapshots.iter().map(|snapshot| snapshot.id.index);
        let Some(mut at) = snapshots.next() else {
            return gaps;
        };
        loop {
            at = self.reach(at);
            // Those that the log has reached are no new beginning.
            let Some(next) = snapshots.find(|index| *index > at) else {
                break;
            };
            gaps.push(Gap {
                after: at,
                until: next,
            });
            at = next;
        }
        // Pieces behind a gap that no snapshot bridges are of no use.
        if let Some(piece) = self.pieces.iter().find(|piece| piece.first > at + 1) {
            gaps.push(Gap {
                after: at,
                until: piece.first,
            });
        }
        gaps
    }

    /// Rows of at least two pieces that are shorter than `small`, begin after entry
    /// `after` and lack nothing between them.
    pub(super) fn rows(&self, small: u64, after: u64) -> Vec<Vec<Piece>> {
        let mut rows = Vec::new();
        let mut row: Vec<Piece> = Vec::new();
        let mut reached = 0;
        for piece in self.pieces.iter().filter(|piece| piece.first > after) {
            let fits = piece.bytes < small;
            if !fits || piece.first > reached + 1 {
                rows.push(std::mem::take(&mut row));
                reached = 0;
            }
            if fits {
                row.push(*piece);
                reached = reached.max(piece.last);
            }
        }
        rows.push(row);
        rows.retain(|row| row.len() > 1);
        rows
    }

    /// What is not needed for any state since `cutoff`. Kept are the last
    /// snapshot before it and what came later; of the snapshots of a day that the
    /// log leads to anyway, one.
    pub(super) fn outlived(&self, cutoff: Millis) -> Outlived {
        let newest = self.snapshots.len().saturating_sub(KEPT);
        let base = self.until(Some(cutoff)).saturating_sub(1).min(newest);
        let mut outlived = Outlived::default();
        let Some(first) = self.snapshots.get(base) else {
            return outlived;
        };
        let all = self.snapshots.iter();
        outlived
            .snapshots
            .extend(all.take(base).map(|it| it.key.clone()));
        let mut kept = first;
        for snapshot in &self.snapshots[(base + 1).min(newest)..newest] {
            let same_day = kept.time.0 / DAY == snapshot.time.0 / DAY;
            if snapshot.id == kept.id {
                continue;
            }
            if same_day && self.reach(kept.id.index) >= snapshot.id.index {
                outlived.snapshots.push(snapshot.key.clone());
            } else {
                kept = snapshot;
            }
        }
        let before = |piece: &&Piece| piece.last <= first.id.index;
        outlived.pieces = self.pieces.iter().filter(before).copied().collect();
        outlived
    }
}

#[cfg(test)]
mod tests;
