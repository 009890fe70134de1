//! The settings section `[queue.dns]`: whom to ask, and how patiently.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use postrider_types::human;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How names are looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The name servers, each as `192.0.2.53`, `192.0.2.53:5353` or
    /// `[2001:db8::53]:53`. They must resolve names for their clients. Empty: the
    /// system's.
    pub servers: Vec<NameServer>,
    /// How long one server may take for one answer.
    #[serde(with = "human::duration")]
    pub timeout: Duration,
    /// How often a query is sent again after the first time, 0 to 10.
    pub retries: usize,
    /// How long one lookup may take with its aliases, retries and the keys for
    /// DNSSEC.
    #[serde(with = "human::duration")]
    pub deadline: Duration,
    /// Which addresses of a host are tried, and which first.
    pub family: Family,
    /// Validate answers by DNSSEC, which DANE needs. The servers must hand on
    /// the records of DNSSEC; where they do not, no name can be looked up.
    pub dnssec: bool,
    /// A file with the DNSKEY records to trust, instead of those of the root
    /// zone that come with the program.
    pub trust_anchor: Option<PathBuf>,
    /// How many answers are kept in memory, as long as they are valid.
    pub cache_size: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Duration::from_secs(5),
            retries: 2,
            deadline: Duration::from_secs(30),
            family: Family::default(),
            dnssec: false,
            trust_anchor: None,
            cache_size: 8192,
        }
    }
}

impl Settings {
    /// Says what is wrong with the settings, and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        if self.timeout.is_zero() || self.deadline < self.timeout {
            return Err(
                "queue.dns.timeout may not be zero, and queue.dns.deadline not below it".into(),
            );
        }
        if self.retries > 10 {
            return Err(format!(
                "queue.dns.retries is {}; it may be 0 to 10",
                self.retries
            ));
        }
        if self.trust_anchor.is_some() && !self.dnssec {
            return Err("queue.dns.trust_anchor needs queue.dns.dnssec = true".into());
        }
        Ok(())
    }
}

/// Which addresses of a host are tried, and which first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Both in turn, beginning with IPv4: many receivers judge IPv6 more harshly.
    #[default]
    Ipv4First,
    /// Both in turn, beginning with IPv6.
    Ipv6First,
    /// IPv4 alone.
    Ipv4Only,
    /// IPv6 alone.
    Ipv6Only,
}

/// The address of a name server; the port is 53 where none is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameServer(pub SocketAddr);

impl FromStr for NameServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let with_port = text.parse::<SocketAddr>();
        let alone = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        with_port.or_else(|_| alone()).map(Self).map_err(|_| {
            format!("`{text}` is no name server; write 192.0.2.53 or [2001:db8::53]:53")
        })
    }
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for NameServer {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NameServer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Box::<str>::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_has_a_port_or_the_usual_one() {
        for (text, shown) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:54", "[2001:db8::53]:54"),
        ] {
            assert_eq!(text.parse::<NameServer>().unwrap().to_string(), shown);
        }
        for bad in ["", "dns.example.org", "192.0.2.53:", "192.0.2.53:99999"] {
            assert!(bad.parse::<NameServer>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_defaults_are_allowed_and_nonsense_is_not() {
        let good = Settings::default();
        assert_eq!(good.check(), Ok(()));
        let bad = [
            Settings {
                timeout: Duration::ZERO,
                ..good.clone()
            },
            Settings {
                deadline: Duration::from_secs(1),
                ..good.clone()
            },
            Settings {
                retries: 11,
                ..good.clone()
            },
            Settings {
                trust_anchor: Some("/anchor".into()),
                ..good
            },
        ];
        for settings in bad {
            assert!(settings.check().is_err(), "{settings:?}");
        }
    }
}
