//! Limits on failed logins, per client address and per login.
//!
//! A login that somebody attacks from elsewhere stays usable for its owner:
//! addresses where it lately succeeded are exempt from its limit.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use postrider_net::{RateLimiter, address_key};
use postrider_types::Address;

use crate::Settings;

/// Addresses and logins remembered at once, of each.
const CAPACITY: usize = 20_000;
/// How long an address counts as the owner's after a success.
const FAMILIAR: Duration = Duration::from_secs(24 * 3600);

pub(crate) struct Throttle {
    by_address: RateLimiter<IpAddr>,
    by_login: RateLimiter<Address>,
    familiar: Mutex<HashMap<(IpAddr, Address), Instant>>,
}

impl Throttle {
    pub(crate) fn new(settings: &Settings) -> Self {
        let window = settings.failure_window;
        Self {
            by_address: RateLimiter::new(settings.max_failures_per_address, window, CAPACITY),
            by_login: RateLimiter::new(settings.max_failures_per_account, window, CAPACITY),
            familiar: Mutex::default(),
        }
    }

    /// Whether this attempt is refused without a check.
    /// `login` is None where it is no address at all.
    pub(crate) fn refuses(&self, peer: IpAddr, login: Option<&Address>) -> bool {
        let peer = address_key(peer);
        if self.by_address.is_exhausted(&peer) {
            return true;
        }
        login.is_some_and(|login| {
            self.by_login.is_exhausted(login) && !self.is_familiar(peer, login)
        })
    }

    pub(crate) fn failed(&self, peer: IpAddr, login: Option<&Address>) {
        let peer = address_key(peer);
        self.by_address.record(&peer);
        if let Some(login) = login {
            self.by_login.record(login);
        }
    }

    pub(crate) fn succeeded(&self, peer: IpAddr, login: &Address) {
        let key = (address_key(peer), login.clone());
        let now = Instant::now();
        let mut familiar = self.familiar.lock();
        if familiar.len() >= CAPACITY && !familiar.contains_key(&key) {
            familiar.retain(|_, at| now.saturating_duration_since(*at) < FAMILIAR);
            if familiar.len() >= CAPACITY {
                familiar.clear();
            }
        }
        familiar.insert(key, now);
    }

    fn is_familiar(&self, peer: IpAddr, login: &Address) -> bool {
        let familiar = self.familiar.lock();
        let at = familiar.get(&(peer, login.clone()));
        at.is_some_and(|at| at.elapsed() < FAMILIAR)
    }
}
