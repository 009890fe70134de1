//! The settings section `[smtp]`, shared by all roles.

use std::time::Duration;

use postrider_net::Network;
use postrider_types::{Address, human};
use serde::{Deserialize, Serialize};

/// How mail is taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// This host's name in greetings, Received fields and Message-IDs.
    pub hostname: String,
    /// The largest message in bytes, told by SIZE.
    #[serde(with = "human::size")]
    pub max_message_size: u64,
    /// The most recipients of one message, 1 to 10,000.
    pub max_recipients: usize,
    /// The longest line within a message, in bytes. RFC 5321 asks for 998 at
    /// least; senders in the wild exceed it.
    pub max_text_line: usize,
    /// The most commands in a row that lead to no accepted message; 0 for no
    /// limit. A message takes two and one per recipient.
    pub max_commands: u32,
    /// The most 5xx replies in a row without an accepted message; 0 for no limit.
    pub max_errors: u32,
    /// The most messages from one address (IPv6: its /64) in a minute, in the whole
    /// cluster and by role; 0 for no limit. Trusted networks, loopback and LMTP are not limited.
    pub max_messages_per_minute: u32,
    /// The most messages that an account sends in an hour, over all nodes; 0 for no
    /// limit. The administrator gets a mail about who reaches it.
    pub max_sent_messages_per_hour: u32,
    /// The most recipients of what an account sends in an hour, over all nodes; 0
    /// for no limit.
    pub max_sent_recipients_per_hour: u32,
    /// Who is told of a success that it asks for (NOTIFY=SUCCESS, RFC 3461).
    pub success_notices: SuccessNotices,
    /// A message that went through more servers than this (Received fields) loops.
    pub max_hops: u32,
    /// Refuse mail from clients that do not say EHLO or HELO first.
    pub require_helo: bool,
    /// Networks whose clients may send without a login, to internal addresses
    /// too.
    pub trusted_networks: Vec<Network>,
    /// Allow logins without TLS from this machine itself.
    pub plain_login_from_loopback: bool,
    /// Who receives mail to postmaster where a domain has no such address.
    pub postmaster: Option<Address>,
    /// How long a client may be silent between commands (RFC 5321 §4.5.3.2.7:
    /// at least 5 minutes).
    #[serde(with = "human::duration")]
    pub command_timeout: Duration,
    /// How long a client may be silent within a message (RFC 5321 §4.5.3.2.5:
    /// 3 minutes).
    #[serde(with = "human::duration")]
    pub data_timeout: Duration,
    /// The slowest that a message may come, in bytes a second over any two minutes in
    /// which it is waited for; 0 for no limit.
    pub min_data_rate: u64,
    /// How long a client may leave our replies unread.
    #[serde(with = "human::duration")]
    pub write_timeout: Duration,
}

/// Whose NOTIFY=SUCCESS counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SuccessNotices {
    /// Of those who have logged in or come from a trusted network.
    Users,
    /// Of strangers, too, who may have named somebody else as the sender.
    Everyone,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hostname: "localhost".into(),
            max_message_size: 50 << 20,
            max_recipients: 1000,
            max_text_line: 64 << 10,
            max_commands: 10_000,
            max_errors: 50,
            max_messages_per_minute: 600,
            max_sent_messages_per_hour: 500,
            max_sent_recipients_per_hour: 2000,
            success_notices: SuccessNotices::Users,
            max_hops: 50,
            require_helo: true,
            trusted_networks: Vec::new(),
            plain_login_from_loopback: false,
            postmaster: None,
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(180),
            min_data_rate: 256,
            write_timeout: Duration::from_secs(120),
        }
    }
}

impl Settings {
    /// Says what is wrong with the settings, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        let name_ok = !self.hostname.is_empty()
            && self.hostname.len() <= 255
            && self
                .hostname
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
        if !name_ok {
            return Err(format!(
                "smtp.hostname is `{}`; it is a host name such as mail.example.org",
                self.hostname
            ));
        }
        if !(1..=10_000).contains(&self.max_recipients) {
            return Err(format!(
                "smtp.max_recipients is {}; it may be 1 to 10000",
                self.max_recipients
            ));
        }
        if self.max_text_line < 998 {
            return Err(format!(
                "smtp.max_text_line is {}; it may be 998 or more",
                self.max_text_line
            ));
        }
        if self.max_message_size < 64 << 10 {
            return Err(format!(
                "smtp.max_message_size is {}; it may be 64KiB or more",
                self.max_message_size
            ));
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
        let bad = [
            Settings {
                hostname: "a b".into(),
                ..good.clone()
            },
            Settings {
                max_recipients: 0,
                ..good.clone()
            },
            Settings {
                max_text_line: 10,
                ..good.clone()
            },
            Settings {
                max_message_size: 1,
                ..good
            },
        ];
        for settings in bad {
            assert!(settings.check().is_err(), "{settings:?}");
        }
    }
}
