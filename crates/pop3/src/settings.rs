//! The settings section `[pop3]`.

use std::time::Duration;

use postrider_types::human;
use serde::{Deserialize, Serialize};

/// How POP3 is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Allow logins without TLS from this machine itself.
    pub plain_login_from_loopback: bool,
    /// How long a client may be silent, and how long it may take to log in
    /// (RFC 1939 §3: at least 10 minutes).
    #[serde(with = "human::duration")]
    pub idle_timeout: Duration,
    /// How long a client may leave our replies unread.
    #[serde(with = "human::duration")]
    pub write_timeout: Duration,
    /// The most wrong commands in one session; 0 for no limit.
    pub max_errors: u32,
    /// The most failed logins on one connection; 0 for no limit.
    pub max_failed_logins: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            plain_login_from_loopback: false,
            idle_timeout: Duration::from_secs(600),
            write_timeout: Duration::from_secs(120),
            max_errors: 50,
            max_failed_logins: 5,
        }
    }
}

impl Settings {
    /// Says what is wrong with the settings, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in [
            ("idle_timeout", self.idle_timeout),
            ("write_timeout", self.write_timeout),
        ] {
            if value < Duration::from_secs(1) {
                return Err(format!("pop3.{name} is {value:?}; it may be 1s or more"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_allowed_and_nonsense_is_not() {
        assert_eq!(Settings::default().check(), Ok(()));
        let never = Settings {
            idle_timeout: Duration::ZERO,
            ..Settings::default()
        };
        assert!(never.check().is_err());
    }
}
