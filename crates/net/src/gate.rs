//! Counts connections, in total and per client address, and says when there
//! are too many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{Busy, address_key};

/// Bounds the number of connections at once.
#[derive(Debug)]
pub struct Gate {
    total: u32,
    per_address: u32,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: u32,
    by_address: HashMap<IpAddr, u32>,
}

/// The right to one connection; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    key: IpAddr,
}

impl Gate {
    /// At most `total` connections, `per_address` from one address (IPv6: from
    /// one /64).
    pub fn new(total: u32, per_address: u32) -> Arc<Self> {
        Arc::new(Self {
            total,
            per_address,
            open: Mutex::default(),
        })
    }

    /// Admits a connection from `address`.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Busy> {
        let key = address_key(address);
        let mut open = self.open.lock();
        if open.total >= self.total {
            return Err(Busy::Total);
        }
        let count = open.by_address.entry(key).or_default();
        if *count >= self.per_address {
            return Err(Busy::PerAddress);
        }
        *count += 1;
        open.total += 1;
        Ok(Permit {
            gate: self.clone(),
            key,
        })
    }

    /// How many connections are open.
    pub fn open(&self) -> u32 {
        self.open.lock().total
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.gate.open.lock();
        open.total = open.total.saturating_sub(1);
        if let Some(count) = open.by_address.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_in_and_out() {
        let gate = Gate::new(3, 2);
        let ip = |n: u8| IpAddr::from([192, 0, 2, n]);
        let first = gate.enter(ip(1)).unwrap();
        let _second = gate.enter(ip(1)).unwrap();
        assert_eq!(gate.enter(ip(1)).unwrap_err(), Busy::PerAddress);
        let _third = gate.enter(ip(2)).unwrap();
        assert_eq!(gate.enter(ip(3)).unwrap_err(), Busy::Total);
        drop(first);
        let _again = gate.enter(ip(1)).unwrap();
        assert_eq!(gate.open(), 3);
    }
}
