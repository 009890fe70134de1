//! Counts connections, in total and per client address, and says when there
//! are too many. Those per address are counted over all nodes that tell each
//! other; those in total are this node's.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::counts::{Held, Signal};
use crate::{Busy, Counts, Key};

/// Counts of other processes' connections that are remembered, at most.
const MAX_FOREIGN: usize = 500_000;

/// Bounds the number of connections at once.
#[derive(Debug)]
pub struct Gate {
    total: u32,
    per_address: u32,
    /// Connections through this gate; changes under the table's lock.
    open: AtomicU32,
    table: Arc<HeldTable>,
}

/// The right to one connection; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    key: Key,
}

impl Gate {
    /// At most `total` connections, `per_address` from one address (IPv6: from
    /// one /64), on this node alone.
    pub fn new(total: u32, per_address: u32) -> Arc<Self> {
        Counts::new().gate("", total, per_address)
    }

    pub(crate) fn over(table: Arc<HeldTable>, total: u32, per_address: u32) -> Arc<Self> {
        Arc::new(Self {
            total,
            per_address,
            open: AtomicU32::new(0),
            table,
        })
    }

    /// Admits a connection from `address`.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Busy> {
        let key = Key::address(address);
        let mut state = self.table.state.lock();
        if self.open.load(Ordering::Relaxed) >= self.total {
            return Err(Busy::Total);
        }
        if state.count(key) >= self.per_address {
            return Err(Busy::PerAddress);
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        self.table.change(&mut state, key, |own| own + 1);
        Ok(Permit {
            gate: self.clone(),
            key,
        })
    }

    /// How many connections are open on this node.
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.gate.table.state.lock();
        self.gate.open.fetch_sub(1, Ordering::Relaxed);
        let less = |own: u32| own.saturating_sub(1);
        self.gate.table.change(&mut state, self.key, less);
    }
}

/// The open connections per address of one kind of listener.
#[derive(Debug)]
pub(crate) struct HeldTable {
    origin: u64,
    signal: Arc<Signal>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Per address the processes that hold connections, none without.
    open: HashMap<Key, Vec<Share>>,
    /// Shares of other processes.
    foreign: usize,
    /// Address and process of what is to be told. Bounded by the connections that
    /// open and close between two parts, and by `foreign`.
    changed: HashSet<(Key, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Share {
    origin: u64,
    count: u32,
}

impl State {
    fn count(&self, key: Key) -> u32 {
        let shares = self.open.get(&key).map_or(&[][..], Vec::as_slice);
        shares.iter().fold(0, |sum, s| sum.saturating_add(s.count))
    }

    fn share(&self, key: Key, origin: u64) -> u32 {
        let shares = self.open.get(&key).map_or(&[][..], Vec::as_slice);
        let share = shares.iter().find(|s| s.origin == origin);
        share.map_or(0, |s| s.count)
    }

    fn set(&mut self, key: Key, origin: u64, count: u32) {
        let shares = self.open.entry(key).or_insert(Vec::with_capacity(1));
        match shares.iter().position(|s| s.origin == origin) {
            Some(at) if count == 0 => {
                shares.swap_remove(at);
            }
            Some(at) => shares[at].count = count,
            None if count == 0 => {}
            None => shares.push(Share { origin, count }),
        }
        if shares.is_empty() {
            self.open.remove(&key);
        }
    }
}

impl HeldTable {
    pub(crate) fn new(origin: u64, signal: Arc<Signal>) -> Self {
        Self {
            origin,
            signal,
            state: Mutex::default(),
        }
    }

    /// Changes this process's connections of `key`.
    fn change(&self, state: &mut State, key: Key, change: impl FnOnce(u32) -> u32) {
        let count = change(state.share(key, self.origin));
        state.set(key, self.origin, count);
        self.note(state, (key, self.origin));
    }

    fn note(&self, state: &mut State, what: (Key, u64)) {
        if self.signal.is_on() {
            let first = state.changed.is_empty();
            if state.changed.insert(what) && first {
                self.signal.raise();
            }
        }
    }

    /// Takes over another process's count.
    fn take_over(&self, state: &mut State, held: Held, tell: bool) {
        let Held { key, origin, count } = held;
        let known = state.share(key, origin);
        if origin == self.origin || known == count {
            return;
        }
        match (known, count) {
            (0, _) if state.foreign >= MAX_FOREIGN => return,
            (0, _) => state.foreign += 1,
            (_, 0) => state.foreign -= 1,
            _ => {}
        }
        state.set(key, origin, count);
        if tell {
            self.note(state, (key, origin));
        }
    }

    /// Takes over other processes' counts. With `tell`, what is new in them is a
    /// change to be told on.
    pub(crate) fn merge(&self, held: &[Held], tell: bool) {
        let state = &mut *self.state.lock();
        for held in held {
            self.take_over(state, *held, tell);
        }
    }

    /// The same, and nothing else is held by processes that are `meant`.
    pub(crate) fn replace(&self, held: &[Held], meant: &dyn Fn(u64) -> bool, tell: bool) {
        let state = &mut *self.state.lock();
        let told: HashSet<(Key, u64)> = held.iter().map(|h| (h.key, h.origin)).collect();
        let known = state.open.iter();
        let known = known.flat_map(|(key, shares)| shares.iter().map(|s| (*key, s.origin)));
        let gone: Vec<(Key, u64)> = known
            .filter(|(key, origin)| meant(*origin) && !told.contains(&(*key, *origin)))
            .collect();
        for (key, origin) in gone {
            let none = Held {
                key,
                origin,
                count: 0,
            };
            self.take_over(state, none, tell);
        }
        for held in held {
            self.take_over(state, *held, tell);
        }
    }

    /// What has changed since the last call, at most `most`; true if there is more.
    pub(crate) fn take_changes(&self, most: usize) -> (Vec<Held>, bool) {
        let state = &mut *self.state.lock();
        let changed: Vec<(Key, u64)> = if state.changed.len() <= most {
            state.changed.drain().collect()
        } else {
            let some: Vec<_> = state.changed.iter().take(most).copied().collect();
            some.iter().for_each(|what| {
                state.changed.remove(what);
            });
            some
        };
        let held = changed.into_iter().map(|(key, origin)| Held {
            key,
            origin,
            count: state.share(key, origin),
        });
        (held.collect(), !state.changed.is_empty())
    }

    /// All connections, of all processes.
    pub(crate) fn everything(&self) -> Vec<Held> {
        let state = self.state.lock();
        let all = state.open.iter().flat_map(|(key, shares)| {
            shares.iter().map(|share| Held {
                key: *key,
                origin: share.origin,
                count: share.count,
            })
        });
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn connections_are_counted_in_and_out() {
        let gate = Gate::new(3, 2);
        let first = gate.enter(ip(1)).unwrap();
        let _second = gate.enter(ip(1)).unwrap();
        assert_eq!(gate.enter(ip(1)).unwrap_err(), Busy::PerAddress);
        let _third = gate.enter(ip(2)).unwrap();
        assert_eq!(gate.enter(ip(3)).unwrap_err(), Busy::Total);
        drop(first);
        let _again = gate.enter(ip(1)).unwrap();
        assert_eq!(gate.open(), 3);
    }

    #[test]
    fn connections_of_other_processes_count_for_their_address() {
        let gate = Gate::new(10, 3);
        let table = &gate.table;
        let key = Key::address(ip(1));
        let held = |origin, count| Held { key, origin, count };
        table.merge(&[held(1, 1), held(2, 1)], false);
        let own = gate.enter(ip(1)).unwrap();
        assert_eq!(gate.enter(ip(1)).unwrap_err(), Busy::PerAddress);
        assert!(gate.enter(ip(2)).is_ok());
        // Told twice is told once.
        table.merge(&[held(1, 1)], false);
        table.replace(&[], &|origin| origin == 1, false);
        let second = gate.enter(ip(1)).unwrap();
        assert_eq!(gate.enter(ip(1)).unwrap_err(), Busy::PerAddress);
        drop((own, second));
        table.replace(&[held(3, 7)], &|_| true, false);
        assert_eq!(table.everything(), [held(3, 7)]);
        assert_eq!(gate.open(), 0);
        table.merge(&[held(3, 0)], false);
        let state = table.state.lock();
        assert!(state.open.is_empty());
        assert_eq!(state.foreign, 0);
    }
}
