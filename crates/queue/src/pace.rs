//! What a destination may get: connections at once, and messages per minute. What
//! the settings say of it ([`Limits`]), and the measure of what it got ([`Pace`]).
//!
//! Knows no entries: `hands` asks it for each.

use std::time::{Duration, Instant};

use postrider_types::DomainName;

use crate::settings::{LimitTo, Pattern, Settings};

/// How much of the time between two messages may be made up for when a worker comes
/// late, so that a high rate is reached.
const SLACK: Duration = Duration::from_millis(100);
/// For how long entries are taken in hand ahead: longer than between two leases.
const AHEAD: Duration = Duration::from_secs(2);

/// What the settings allow to destinations.
pub(crate) struct Limits {
    /// What a destination may get that the settings do not name.
    usual: Limit,
    named: Vec<(DomainName, Limit)>,
}

/// What one destination may get from this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Connections at once.
    pub(crate) connections: usize,
    /// Messages per minute; 0 for any number.
    rate: u32,
}

impl Limits {
    pub(crate) fn new(settings: &Settings) -> Self {
        let given = Limit {
            connections: settings.connections_per_destination,
            rate: settings.rate_per_destination,
        };
        let all = settings.limit.iter().find(|it| it.domain == Pattern::All);
        let usual = all.map_or(given, |all| given.changed(all));
        let named = settings
            .limit
            .iter()
            .filter_map(|limit| match &limit.domain {
                Pattern::All => None,
                Pattern::Domain(name) => Some((name.clone(), usual.changed(limit))),
            });
        Self {
            named: named.collect(),
            usual,
        }
    }

    /// That of a destination, as the queue names it.
    pub(crate) fn of(&self, destination: &str) -> Limit {
        let named = self.named.iter().find(|(it, _)| it.as_str() == destination);
        named.map_or(self.usual, |(_, limit)| *limit)
    }

    /// That of all which the settings do not name.
    pub(crate) fn usual(&self) -> Limit {
        self.usual
    }
}

impl Limit {
    fn changed(self, by: &LimitTo) -> Self {
        Self {
            connections: by.connections.unwrap_or(self.connections),
            rate: by.rate.unwrap_or(self.rate),
        }
    }

    /// The measure of its rate; None where that is not limited.
    pub(crate) fn pace(self) -> Option<Pace> {
        let interval = Duration::from_secs(60).checked_div(self.rate)?;
        Some(Pace {
            interval,
            next: None,
        })
    }
}

/// Messages at even distances.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    /// Not before this moment; None before the first.
    next: Option<Instant>,
}

impl Pace {
    /// Counts a message that is sent at `now`; when it may be sent, if not yet.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        match self.next {
            Some(next) if next > now => Err(next),
            next => {
                let late = next.map_or(Duration::ZERO, |next| now.duration_since(next));
                // What was not sent is not saved up.
                let made_up = late.min(SLACK).min(self.interval / 2);
                self.next = Some(now + self.interval - made_up);
                Ok(())
            }
        }
    }

    /// Whether a message may be sent as if none had been before.
    pub(crate) fn is_rested(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    /// How many messages are wanted in hand, so that none is late.
    pub(crate) fn ahead(&self) -> usize {
        let count = AHEAD.as_nanos().div_ceil(self.interval.as_nanos().max(1));
        usize::try_from(count).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let limit = |domain: &str, connections, rate| LimitTo {
            domain: Pattern::try_from(domain.to_owned()).unwrap(),
            connections,
            rate,
        };
        Settings {
            rate_per_destination: 60,
            limit: vec![
                limit("slow.test", Some(1), Some(6)),
                limit("free.test", None, Some(0)),
                limit("*", Some(4), None),
            ],
            ..Settings::default()
        }
    }

    #[test]
    fn a_destination_has_its_own_limit_or_that_of_all() {
        let limits = Limits::new(&settings());
        let of = |name| {
            let limit = limits.of(name);
            (limit.connections, limit.rate)
        };
        assert_eq!(of("slow.test"), (1, 6));
        assert_eq!(of("free.test"), (4, 0));
        assert_eq!(of("other.test"), (4, 60));
        assert!(limits.of("free.test").pace().is_none());
    }

    #[test]
    fn messages_are_spaced_and_lost_time_is_not_saved_up() {
        let mut pace = Limits::new(&settings()).usual().pace().unwrap();
        let start = Instant::now();
        let second = Duration::from_secs(1);
        assert!(pace.is_rested(start));
        assert_eq!(pace.take(start), Ok(()));
        assert_eq!(pace.take(start), Err(start + second));
        assert!(!pace.is_rested(start));
        // A worker that comes late does not slow the rate down.
        let late = start + second + SLACK / 2;
        assert_eq!(pace.take(late), Ok(()));
        assert_eq!(pace.take(late), Err(start + 2 * second));
        let much_later = start + 100 * second;
        assert_eq!(pace.take(much_later), Ok(()));
        assert_eq!(pace.take(much_later), Err(much_later + second - SLACK));
    }

    #[test]
    fn a_high_rate_is_reached_with_more_in_hand() {
        let limit = |rate| Limit {
            connections: 1,
            rate,
        };
        assert_eq!(limit(1).pace().unwrap().ahead(), 1);
        assert_eq!(limit(60).pace().unwrap().ahead(), 2);
        assert_eq!(limit(6000).pace().unwrap().ahead(), 200);
    }
}
