//! The settings section `[imap]`.

use std::time::Duration;

use postrider_types::human;
use serde::{Deserialize, Serialize};

/// Limits and timeouts of IMAP sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Take LOGIN and AUTHENTICATE without TLS from clients on this machine.
    /// All others need TLS.
    pub plain_login_from_loopback: bool,
    /// How long a client may take from the connection to its login.
    #[serde(with = "human::duration")]
    pub login_timeout: Duration,
    /// How long a client that is logged in may be silent. RFC 3501 §5.4 wants
    /// 30 minutes at least.
    #[serde(with = "human::duration")]
    pub idle_timeout: Duration,
    /// How often a client in IDLE is told that the connection lives, so that
    /// routers on the way do not forget it; 0 for never.
    #[serde(with = "human::duration")]
    pub idle_notice: Duration,
    /// How long the next bytes of a command that has begun, or of a message in
    /// APPEND, may take.
    #[serde(with = "human::duration")]
    pub read_timeout: Duration,
    /// The slowest that a message in APPEND, or another literal, may come, in bytes a
    /// second over any two minutes in which it is waited for; 0 for no limit.
    pub min_data_rate: u64,
    /// How long a client may take none of the bytes that wait for it.
    #[serde(with = "human::duration")]
    pub write_timeout: Duration,
    /// The largest message that APPEND takes.
    #[serde(with = "human::size")]
    pub max_message_size: u64,
    /// The longest command, its literals included, without APPEND's messages.
    #[serde(with = "human::size")]
    pub max_command_size: u64,
    /// Commands in error in a row after which the connection is closed.
    pub max_bad_commands: u32,
    /// Failed logins after which the connection is closed.
    pub max_login_failures: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            plain_login_from_loopback: false,
            login_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(30 * 60),
            idle_notice: Duration::from_secs(2 * 60),
            read_timeout: Duration::from_secs(2 * 60),
            min_data_rate: 256,
            write_timeout: Duration::from_secs(2 * 60),
            max_message_size: 64 << 20,
            max_command_size: 64 << 10,
            max_bad_commands: 20,
            max_login_failures: 5,
        }
    }
}
