//! The settings section `[auth]`.

use std::time::Duration;

use postrider_types::{DomainName, human};
use serde::{Deserialize, Serialize};

/// How logins are checked and failures limited. The limits hold over all nodes of
/// a cluster; `failure_window` must be the same on all of them for that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The domain of a login that is given without one.
    pub default_domain: Option<DomainName>,
    /// How long a failed login waits for its answer.
    #[serde(with = "human::duration")]
    pub failure_delay: Duration,
    /// The span in which failures are counted.
    #[serde(with = "human::duration")]
    pub failure_window: Duration,
    /// Failures in that span after which a client address (IPv6: its /64) is
    /// refused without a check; 0 for no limit.
    pub max_failures_per_address: u32,
    /// Failures in that span after which a login is refused without a check,
    /// except from addresses where it lately succeeded; 0 for no limit.
    pub max_failures_per_account: u32,
    /// How long a successful check need not be repeated for the same login,
    /// password and verifier; `0` checks every time. A changed password counts
    /// at once whatever this is.
    #[serde(with = "human::duration")]
    pub cache: Duration,
    /// Password checks at once; 0 for one per processor. Each takes 19 MiB.
    pub max_checks: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_domain: None,
            failure_delay: Duration::from_secs(1),
            failure_window: Duration::from_secs(600),
            max_failures_per_address: 100,
            max_failures_per_account: 20,
            cache: Duration::from_secs(300),
            max_checks: 0,
        }
    }
}
