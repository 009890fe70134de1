//! The settings section `[queue.gateway]`.

use std::time::Duration;

use postrider_types::human;
use serde::{Deserialize, Serialize};

/// How the server behind this one is asked about the recipients of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewaySettings {
    /// How long it is remembered that there is a recipient.
    #[serde(with = "human::duration")]
    pub known_for: Duration,
    /// How long it is remembered that there is none.
    #[serde(with = "human::duration")]
    pub unknown_for: Duration,
    /// How long an answer may take, with all that it takes to connect; 1s to 4m: the
    /// client that waits for it gives up after 5 (RFC 5321 §4.5.3.2.3).
    #[serde(with = "human::duration")]
    pub timeout: Duration,
    /// The most connections to one server at once, 1 to 100.
    pub connections: usize,
    /// Take mail for recipients about whom the server cannot be asked, instead of
    /// having the client try again. Mail to those that it does not know then comes
    /// back to senders who may be forged.
    pub accept_unchecked: bool,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            known_for: Duration::from_secs(3600),
            unknown_for: Duration::from_secs(300),
            timeout: Duration::from_secs(20),
            connections: 4,
            accept_unchecked: false,
        }
    }
}

impl GatewaySettings {
    /// Says what is wrong with the settings, and what is allowed.
    pub(crate) fn check(&self) -> Result<(), String> {
        let day = Duration::from_secs(24 * 3600);
        for (name, span) in [
            ("known_for", self.known_for),
            ("unknown_for", self.unknown_for),
        ] {
            if span > day {
                return Err(format!("queue.gateway.{name} may be up to 24h"));
            }
        }
        let longest = Duration::from_secs(240);
        if !(Duration::from_secs(1)..=longest).contains(&self.timeout) {
            return Err("queue.gateway.timeout may be 1s to 4m".into());
        }
        match self.connections {
            1..=100 => Ok(()),
            other => Err(format!(
                "queue.gateway.connections is {other}; it may be 1 to 100"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_allowed_and_nonsense_is_not() {
        let good = GatewaySettings::default();
        assert_eq!(good.check(), Ok(()));
        for bad in [
            GatewaySettings {
                timeout: Duration::from_secs(300),
                ..good.clone()
            },
            GatewaySettings {
                connections: 0,
                ..good.clone()
            },
            GatewaySettings {
                known_for: Duration::from_secs(100_000),
                ..good
            },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
