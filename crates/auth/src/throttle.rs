//! Limits on failed logins, per client address and per login, over all nodes.
//!
//! A login that somebody attacks from elsewhere stays usable for its owner:
//! addresses where it lately succeeded are exempt from its limit. A success takes
//! nothing off the counts: its owner's program logs in every few minutes, and
//! whoever guesses would begin anew each time.

use std::net::IpAddr;
use std::time::Duration;

use postrider_net::{Counts, Key, Marks, RateLimiter};
use postrider_types::Address;

use crate::Settings;

/// Addresses and logins remembered at once, of each.
const CAPACITY: usize = 20_000;
/// How long an address counts as the owner's after a success, at least; twice that
/// at most.
const FAMILIAR: Duration = Duration::from_secs(24 * 3600);

pub(crate) struct Throttle {
    by_address: RateLimiter,
    by_login: RateLimiter,
    familiar: Marks,
}

impl Throttle {
    pub(crate) fn new(settings: &Settings, counts: &Counts) -> Self {
        let limit = |name, failures| {
            let window = settings.failure_window;
            counts.rate(name, failures, window, CAPACITY)
        };
        Self {
            by_address: limit("logins-address", settings.max_failures_per_address),
            by_login: limit("logins-account", settings.max_failures_per_account),
            familiar: counts.marks("logins-familiar", FAMILIAR, CAPACITY),
        }
    }

    /// Whether this attempt is refused without a check.
    /// `login` is None where it is no address at all.
    pub(crate) fn refuses(&self, peer: IpAddr, login: Option<&Address>) -> bool {
        let peer = Key::address(peer);
        if self.by_address.is_exhausted(peer) {
            return true;
        }
        login.is_some_and(|login| {
            let login = key(login);
            self.by_login.is_exhausted(login) && !self.familiar.contains(peer.with(login))
        })
    }

    pub(crate) fn failed(&self, peer: IpAddr, login: Option<&Address>) {
        self.by_address.record(Key::address(peer));
        if let Some(login) = login {
            self.by_login.record(key(login));
        }
    }

    pub(crate) fn succeeded(&self, peer: IpAddr, login: &Address) {
        self.familiar.set(Key::address(peer).with(key(login)));
    }
}

fn key(login: &Address) -> Key {
    Key::text(&login.to_string())
}
