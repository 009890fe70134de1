//! [`Addresses`]: how many connections there are to each address of other servers, so
//! that one of them that keeps us waiting under many names holds few.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use postrider_net::address_key;

/// Counts connections by address (IPv6: by /64).
#[derive(Clone)]
pub(crate) struct Addresses {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
}

/// The right to one connection to an address, until it is dropped.
pub(crate) struct Slot {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    key: IpAddr,
}

impl Addresses {
    /// Allows `most` to each.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            counts: Arc::default(),
            most,
        }
    }

    /// The right to one more connection; None where there are as many as there may be.
    pub(crate) fn slot(&self, address: IpAddr) -> Option<Slot> {
        let key = address_key(address);
        let mut counts = self.counts.lock();
        let count = counts.entry(key).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Slot {
            counts: self.counts.clone(),
            key,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.counts.lock().entry(self.key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_slots_and_is_forgotten_without_any() {
        let addresses = Addresses::new(2);
        let slot = |text: &str| addresses.slot(text.parse().unwrap());
        let (one, two) = (slot("2001:db8::1").unwrap(), slot("2001:db8::2").unwrap());
        assert!(slot("2001:db8::3").is_none());
        assert!(slot("192.0.2.1").is_some());
        drop(one);
        let three = slot("2001:db8::3").unwrap();
        assert!(slot("2001:db8::1").is_none());
        drop((two, three));
        assert!(addresses.counts.lock().is_empty());
    }
}
