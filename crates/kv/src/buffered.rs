//! The transaction that most drivers use: writes are kept in a buffer over a
//! consistent [`Read`], reads see both, and at the end the buffer becomes a
//! list of [`Op`]s. Savepoints undo a part of it. Commits nothing.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;

use crate::{Error, Op, Pair, Range, Read, Result, Txn};

/// What the transaction did to one key.
#[derive(Clone, Debug)]
enum Slot {
    Put(Bytes),
    Delete,
    /// Added to what lies below, not read yet.
    Add(i64),
}

/// How to undo one step.
#[derive(Debug)]
enum Undo {
    /// The key had this slot before.
    Slot(Vec<u8>, Option<Slot>),
    /// The deleted range that begins at `added` took the place of `removed`.
    Range {
        added: Vec<u8>,
        removed: Vec<(Vec<u8>, Vec<u8>)>,
    },
}

/// A place to roll back to. Void after a rollback to an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint(usize);

/// Buffered writes over `R`.
#[derive(Debug)]
pub struct Buffered<R> {
    base: R,
    /// Writes by key. They lie over `deleted`.
    slots: BTreeMap<Vec<u8>, Slot>,
    /// Deleted ranges, start to end, apart from each other.
    deleted: BTreeMap<Vec<u8>, Vec<u8>>,
    undo: Vec<Undo>,
    size: usize,
}

impl<R: Read> Buffered<R> {
    /// An empty transaction over `base`.
    pub fn new(base: R) -> Self {
        Self {
            base,
            slots: BTreeMap::new(),
            deleted: BTreeMap::new(),
            undo: Vec::new(),
            size: 0,
        }
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.deleted.is_empty()
    }

    /// About how many bytes were written so far, for bounding a batch. Never
    /// less than the ops will hold.
    pub fn written(&self) -> usize {
        self.size
    }

    /// The present place, to [`Self::rollback`] to.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint(self.undo.len())
    }

    /// Undoes everything since `to`.
    pub fn rollback(&mut self, to: Savepoint) {
        while self.undo.len() > to.0 {
            match self.undo.pop() {
                Some(Undo::Slot(key, Some(slot))) => {
                    self.slots.insert(key, slot);
                }
                Some(Undo::Slot(key, None)) => {
                    self.slots.remove(&key);
                }
                Some(Undo::Range { added, removed }) => {
                    self.deleted.remove(&added);
                    self.deleted.extend(removed);
                }
                None => break,
            }
        }
    }

    /// The keys that were written since `from` (of ranges, their starts), in
    /// the order of writing, perhaps more than once.
    pub fn keys_since(&self, from: Savepoint) -> impl Iterator<Item = &[u8]> {
        self.undo.iter().skip(from.0).map(|undo| match undo {
            Undo::Slot(key, _) => key.as_slice(),
            Undo::Range { added, .. } => added.as_slice(),
        })
    }

    /// The writes, ranges first; what [`Txn::add`] added is resolved to puts.
    pub async fn into_ops(self) -> Result<Vec<Op>> {
        let mut ops = Vec::with_capacity(self.slots.len() + self.deleted.len());
        let mut adds = Vec::new();
        for (key, slot) in &self.slots {
            if matches!(slot, Slot::Add(_)) {
                adds.push(key.clone());
            }
        }
        let values = self.get_many(&adds).await?;
        for (start, end) in self.deleted {
            ops.push(Op::DeleteRange {
                start: start.into(),
                end: end.into(),
            });
        }
        let mut values = values.into_iter();
        for (key, slot) in self.slots {
            let key = Bytes::from(key);
            ops.push(match slot {
                Slot::Put(value) => Op::Put { key, value },
                Slot::Delete => Op::Delete { key },
                Slot::Add(_) => Op::Put {
                    key,
                    value: values.next().flatten().unwrap_or_default(),
                },
            });
        }
        Ok(ops)
    }

    /// Whether a deleted range covers `key`.
    fn is_deleted(&self, key: &[u8]) -> bool {
        self.deleted
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .is_some_and(|(_, end)| key < end.as_slice())
    }

    fn set(&mut self, key: Vec<u8>, slot: Slot) {
        self.size += key.len()
            + match &slot {
                Slot::Put(value) => value.len() + 16,
                _ => 24,
            };
        let before = self.slots.insert(key.clone(), slot);
        self.undo.push(Undo::Slot(key, before));
    }

    /// The parts of `start..end` that no deleted range covers, ascending.
    fn segments(&self, start: &[u8], end: &[u8]) -> VecDeque<(Vec<u8>, Vec<u8>)> {
        let mut segments = VecDeque::new();
        let mut from = start;
        if let Some((_, covered)) = self
            .deleted
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(start)))
            .next_back()
            && covered.as_slice() > from
        {
            from = covered;
        }
        let inner = (Bound::Excluded(start), Bound::Excluded(end));
        if start < end {
            for (deleted, until) in self.deleted.range::<[u8], _>(inner) {
                if from < deleted.as_slice() {
                    segments.push_back((from.to_vec(), deleted.clone()));
                }
                from = until;
            }
        }
        if from < end {
            segments.push_back((from.to_vec(), end.to_vec()));
        }
        segments
    }
}

/// The value of a counter.
fn counter(key: &[u8], value: &Bytes) -> Result<i64> {
    let bytes = value.as_ref().try_into().map_err(|_| Error::Value {
        key: crate::key::escape(key),
        reason: "a counter has 8 bytes".into(),
    })?;
    Ok(i64::from_le_bytes(bytes))
}

fn added(key: &[u8], value: Option<&Bytes>, delta: i64) -> Result<Bytes> {
    let before = value.map_or(Ok(0), |value| counter(key, value))?;
    let after = before.saturating_add(delta);
    Ok(Bytes::copy_from_slice(&after.to_le_bytes()))
}

impl<R: Read> Read for Buffered<R> {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        let below = async || match self.is_deleted(key) {
            true => Ok(None),
            false => self.base.get(key).await,
        };
        match self.slots.get(key) {
            Some(Slot::Put(value)) => Ok(Some(value.clone())),
            Some(Slot::Delete) => Ok(None),
            Some(Slot::Add(delta)) => Ok(Some(added(key, below().await?.as_ref(), *delta)?)),
            None => below().await,
        }
    }

    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>> {
        let below = |key: &&Vec<u8>| {
            !matches!(self.slots.get(*key), Some(Slot::Put(_) | Slot::Delete))
                && !self.is_deleted(key)
        };
        let wanted: Vec<Vec<u8>> = keys.iter().filter(below).cloned().collect();
        let found = match wanted.is_empty() {
            true => Vec::new(),
            false => self.base.get_many(&wanted).await?,
        };
        let mut found = found.into_iter();
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            let under = if below(&key) {
                found.next().flatten()
            } else {
                None
            };
            values.push(match self.slots.get(key) {
                Some(Slot::Put(value)) => Some(value.clone()),
                Some(Slot::Delete) => None,
                Some(Slot::Add(delta)) => Some(added(key, under.as_ref(), *delta)?),
                None => under,
            });
        }
        Ok(values)
    }

    async fn range(&self, range: Range) -> Result<Vec<Pair>> {
        let bounds = (
            Bound::Included(range.start.as_slice()),
            Bound::Excluded(range.end.as_slice()),
        );
        if range.start >= range.end || range.limit == 0 {
            return Ok(Vec::new());
        }
        let segments = self.segments(&range.start, &range.end);
        let untouched = segments.len() == 1
            && segments[0].0 == range.start
            && segments[0].1 == range.end
            && self.slots.range::<[u8], _>(bounds).next().is_none();
        if untouched {
            return self.base.range(range).await;
        }
        let mut below = Below::new(&self.base, segments, range.limit, range.reverse);
        let mut slots = self.slots.range::<[u8], _>(bounds);
        let mut next = |reverse| match reverse {
            true => slots.next_back(),
            false => slots.next(),
        };
        let mut slot = next(range.reverse);
        let mut pairs = Vec::new();
        while pairs.len() < range.limit {
            let pair = below.peek().await?;
            let order = match (slot, pair) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((key, _)), Some((other, _))) if range.reverse => {
                    other.as_ref().cmp(key.as_slice())
                }
                (Some((key, _)), Some((other, _))) => key.as_slice().cmp(other.as_ref()),
            };
            let under = match order {
                std::cmp::Ordering::Less => None,
                _ => below.take(),
            };
            match (order, slot) {
                (std::cmp::Ordering::Greater, _) | (_, None) => pairs.extend(under),
                (_, Some((key, what))) => {
                    slot = next(range.reverse);
                    let value = match what {
                        Slot::Put(value) => value.clone(),
                        Slot::Delete => continue,
                        Slot::Add(delta) => {
                            added(key, under.map(|(_, value)| value).as_ref(), *delta)?
                        }
                    };
                    pairs.push((Bytes::copy_from_slice(key), value));
                }
            }
        }
        Ok(pairs)
    }
}

impl<R: Read> Txn for Buffered<R> {
    fn put(&mut self, key: Vec<u8>, value: impl Into<Bytes>) {
        self.set(key, Slot::Put(value.into()));
    }

    fn delete(&mut self, key: Vec<u8>) {
        self.set(key, Slot::Delete);
    }

    fn delete_range(&mut self, start: Vec<u8>, end: Vec<u8>) {
        if start >= end {
            return;
        }
        self.size += start.len() + end.len() + 16;
        let covered: Vec<Vec<u8>> = self
            .slots
            .range::<[u8], _>((Bound::Included(&*start), Bound::Excluded(&*end)))
            .map(|(key, _)| key.clone())
            .collect();
        for key in covered {
            let before = self.slots.remove(&key);
            self.undo.push(Undo::Slot(key, before));
        }
        // Merge with the ranges that it meets.
        let (mut from, mut to) = (start.clone(), end.clone());
        let mut removed = Vec::new();
        while let Some((other, until)) = self
            .deleted
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(&*to)))
            .next_back()
            .filter(|(_, until)| **until >= from)
            .map(|(other, until)| (other.clone(), until.clone()))
        {
            self.deleted.remove(&other);
            from = from.min(other.clone());
            to = to.max(until.clone());
            removed.push((other, until));
        }
        self.deleted.insert(from.clone(), to);
        self.undo.push(Undo::Range {
            added: from,
            removed,
        });
    }

    fn add(&mut self, key: Vec<u8>, delta: i64) {
        let slot = match self.slots.get(&key) {
            Some(Slot::Put(value)) => match counter(&key, value) {
                Ok(before) => Slot::Put(Bytes::copy_from_slice(
                    &before.saturating_add(delta).to_le_bytes(),
                )),
                // Found when it is read.
                Err(_) => Slot::Put(value.clone()),
            },
            Some(Slot::Delete) => Slot::Put(Bytes::copy_from_slice(&delta.to_le_bytes())),
            Some(Slot::Add(before)) => Slot::Add(before.saturating_add(delta)),
            None => Slot::Add(delta),
        };
        self.set(key, slot);
    }
}

/// The pairs of the base in some segments, read piece by piece.
struct Below<'a, R> {
    base: &'a R,
    segments: VecDeque<(Vec<u8>, Vec<u8>)>,
    ready: VecDeque<Pair>,
    piece: usize,
    reverse: bool,
}

impl<'a, R: Read> Below<'a, R> {
    fn new(
        base: &'a R,
        segments: VecDeque<(Vec<u8>, Vec<u8>)>,
        limit: usize,
        reverse: bool,
    ) -> Self {
        Self {
            base,
            segments,
            ready: VecDeque::new(),
            piece: limit.clamp(16, 1024),
            reverse,
        }
    }

    async fn peek(&mut self) -> Result<Option<&Pair>> {
        while self.ready.is_empty() {
            let segment = match self.reverse {
                true => self.segments.back_mut(),
                false => self.segments.front_mut(),
            };
            let Some((start, end)) = segment else {
                break;
            };
            let read = Range {
                start: start.clone(),
                end: end.clone(),
                limit: self.piece,
                reverse: self.reverse,
            };
            let pairs = self.base.range(read).await?;
            match pairs.last() {
                Some((last, _)) if pairs.len() == self.piece => {
                    if self.reverse {
                        *end = last.to_vec();
                    } else {
                        *start = last.to_vec();
                        start.push(0);
                    }
                }
                _ if self.reverse => {
                    self.segments.pop_back();
                }
                _ => {
                    self.segments.pop_front();
                }
            }
            self.ready = pairs.into();
        }
        Ok(self.ready.front())
    }

    fn take(&mut self) -> Option<Pair> {
        self.ready.pop_front()
    }
}
