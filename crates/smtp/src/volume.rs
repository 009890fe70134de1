//! [`Volume`]: how much an account sends in an hour, over all nodes. An account
//! whose password was stolen shows by this, and is stopped before its mail has
//! ruined the server's name.

use std::time::Duration;

use postrider_net::{Counts, Key, Marks, RateLimiter};
use postrider_types::AccountId;

use crate::Settings;

/// The span of the limits.
const HOUR: Duration = Duration::from_secs(3600);
/// The administrator hears of an account at most once in this time.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Accounts that are counted at once.
const CAPACITY: usize = 100_000;

/// Counts what accounts send.
pub(crate) struct Volume {
    messages: RateLimiter,
    recipients: RateLimiter,
    told: Marks,
}

impl Volume {
    pub(crate) fn new(settings: &Settings, counts: &Counts) -> Self {
        let hourly = |name, limit| counts.rate(name, limit, HOUR, CAPACITY);
        Self {
            messages: hourly("sent-messages", settings.max_sent_messages_per_hour),
            recipients: hourly("sent-recipients", settings.max_sent_recipients_per_hour),
            told: counts.marks("sent-too-much", DAY, CAPACITY),
        }
    }

    /// Counts a message of `account`; false if there were too many.
    pub(crate) fn admit_message(&self, account: AccountId) -> bool {
        self.messages.try_acquire(key(account))
    }

    /// Counts recipients of a message of `account`; false, and none is counted, if they
    /// are too many together with those before.
    pub(crate) fn admit_recipients(&self, account: AccountId, count: usize) -> bool {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.recipients.try_acquire_many(key(account), count)
    }

    /// Whether the administrator is to hear of `account`: not again for a day.
    pub(crate) fn is_news(&self, account: AccountId) -> bool {
        let known = self.told.contains(key(account));
        self.told.set(key(account));
        !known
    }
}

fn key(account: AccountId) -> Key {
    Key::text(&format!("account {account}"))
}
