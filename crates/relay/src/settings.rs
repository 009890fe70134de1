//! Settings of the client, section `[queue.client]` of the settings file.

use std::time::Duration;

use postrider_types::human;
use serde::{Deserialize, Serialize};

/// How long other servers are waited for. The defaults are those of RFC 5321
/// §4.5.3.2, which are minimums; shorter ones give up on slow servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long a connection may take to come about. RFC 5321 leaves it to the
    /// operating system, which takes minutes for an address that is dead.
    #[serde(with = "human::duration")]
    pub connect_timeout: Duration,
    /// How long the greeting may take (§4.5.3.2.1).
    #[serde(with = "human::duration")]
    pub greeting_timeout: Duration,
    /// How long a TLS handshake may take.
    #[serde(with = "human::duration")]
    pub handshake_timeout: Duration,
    /// How long a command may take to be sent, and its reply to come
    /// (§4.5.3.2.2, §4.5.3.2.3).
    #[serde(with = "human::duration")]
    pub command_timeout: Duration,
    /// How long the reply to DATA may take (§4.5.3.2.4).
    #[serde(with = "human::duration")]
    pub data_init_timeout: Duration,
    /// How long a server may take to accept 64 KiB of content (§4.5.3.2.5).
    #[serde(with = "human::duration")]
    pub data_block_timeout: Duration,
    /// How long the reply to the end of a message may take (§4.5.3.2.6). Too
    /// short a time makes duplicates: the server delivers, and nobody here
    /// waits to be told.
    #[serde(with = "human::duration")]
    pub data_end_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(30),
            greeting_timeout: Duration::from_secs(300),
            handshake_timeout: Duration::from_secs(60),
            command_timeout: Duration::from_secs(300),
            data_init_timeout: Duration::from_secs(120),
            data_block_timeout: Duration::from_secs(180),
            data_end_timeout: Duration::from_secs(600),
        }
    }
}

impl Settings {
    /// Says what is wrong with the settings, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        for (name, span) in [
            ("connect_timeout", self.connect_timeout),
            ("greeting_timeout", self.greeting_timeout),
            ("handshake_timeout", self.handshake_timeout),
            ("command_timeout", self.command_timeout),
            ("data_init_timeout", self.data_init_timeout),
            ("data_block_timeout", self.data_block_timeout),
            ("data_end_timeout", self.data_end_timeout),
        ] {
            if !(Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&span) {
                return Err(format!(
                    "queue.client.{name} is {}ms; it may be 1s to 1h",
                    span.as_millis()
                ));
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
        let good = Settings::default();
        assert_eq!(good.check(), Ok(()));
        for bad in [Duration::ZERO, Duration::from_secs(86_400)] {
            let settings = Settings {
                data_end_timeout: bad,
                ..good.clone()
            };
            assert!(settings.check().unwrap_err().contains("data_end_timeout"));
        }
    }
}
