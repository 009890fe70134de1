//! The settings section `[queue.sts]`.

use std::path::PathBuf;
use std::time::Duration;

use postrider_types::human;
use serde::{Deserialize, Serialize};

/// How policies are fetched. The time limits and authorities are those of reports by
/// HTTPS, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The port of policy servers. Other than 443 it is for tests alone.
    pub port: u16,
    /// How long a connection to one address of a policy server may take.
    #[serde(with = "human::duration")]
    pub connect_timeout: Duration,
    /// How long a fetch may take in all (RFC 8461 §3.3 suggests a minute).
    #[serde(with = "human::duration")]
    pub timeout: Duration,
    /// How long a failed fetch is not tried again (RFC 8461 §3.3 suggests five
    /// minutes).
    #[serde(with = "human::duration")]
    pub retry_pause: Duration,
    /// A PEM file with authorities to trust besides those of the web.
    pub extra_authorities: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 443,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(60),
            retry_pause: Duration::from_secs(300),
            extra_authorities: None,
        }
    }
}

impl Settings {
    /// Says what is wrong with the settings, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        if self.port == 0 {
            return Err("queue.sts.port may be 1 to 65535".into());
        }
        if self.connect_timeout.is_zero() || self.timeout.is_zero() {
            return Err("the times of queue.sts may not be zero".into());
        }
        Ok(())
    }
}
