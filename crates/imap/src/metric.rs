//! Metrics: open sessions, commands by name and outcome.

use metrics::{counter, gauge};

/// Counts a session as open while it lives.
pub(crate) struct SessionOpen(());

impl SessionOpen {
    pub(crate) fn new() -> Self {
        gauge!("postrider_imap_sessions").increment(1.0);
        Self(())
    }
}

impl Drop for SessionOpen {
    fn drop(&mut self) {
        gauge!("postrider_imap_sessions").decrement(1.0);
    }
}

/// Counts a command. `outcome` is `ok`, `no` or `bad`.
pub(crate) fn command(name: &'static str, outcome: &'static str) {
    counter!("postrider_imap_commands_total", "command" => name, "outcome" => outcome).increment(1);
}
