//! [`HostPort`]: a server as administrators name it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::DomainName;

/// A server: `HOST` or `HOST:PORT`, where HOST is a name or an address. An IPv6
/// address with a port stands in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Its name or address.
    pub host: Host,
    /// The port, where one was named; never 0.
    pub port: Option<u16>,
}

/// The name of a server, or its address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name, which is looked up.
    Name(DomainName),
    /// An address.
    Address(IpAddr),
}

/// A text names no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write HOST or HOST:PORT, such as mail.example.org:2525 or [2001:db8::1]:25")]
pub struct HostPortError;

impl FromStr for Host {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let name = DomainName::parse(text).map_err(|_| HostPortError)?;
        Ok(Self::Name(name))
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let (host, port) = match text.rsplit_once(':') {
            // More than one colon without brackets: an IPv6 address.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                let port: u16 = port.parse().map_err(|_| HostPortError)?;
                (
                    host,
                    Some(port).filter(|port| *port != 0).ok_or(HostPortError)?,
                )
            }
            _ => {
                let host = inside_brackets(text)?.parse()?;
                return Ok(Self { host, port: None });
            }
        };
        Ok(Self {
            host: inside_brackets(host)?.parse()?,
            port: Some(port),
        })
    }
}

/// What stands in brackets, if something does: an IPv6 address alone.
fn inside_brackets(text: &str) -> Result<&str, HostPortError> {
    match text.strip_prefix('[') {
        None => Ok(text),
        Some(rest) => {
            let inside = rest.strip_suffix(']').ok_or(HostPortError)?;
            match inside.contains(':') {
                true => Ok(inside),
                false => Err(HostPortError),
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (host, None) => host.fmt(f),
            (Host::Address(IpAddr::V6(v6)), Some(port)) => write!(f, "[{v6}]:{port}"),
            (host, Some(port)) => write!(f, "{host}:{port}"),
        }
    }
}

impl Serialize for HostPort {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HostPort {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Box::<str>::deserialize(from)?;
        let parsed = text.parse();
        parsed.map_err(|error| de::Error::custom(format!("`{text}` is no server: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_and_shown() {
        for (text, shown, port) in [
            ("Relay.Test", "relay.test", None),
            ("relay.test:587", "relay.test:587", Some(587)),
            ("192.0.2.1:25", "192.0.2.1:25", Some(25)),
            ("[::1]:587", "[::1]:587", Some(587)),
            ("[::1]", "::1", None),
            ("2001:db8::1", "2001:db8::1", None),
        ] {
            let server: HostPort = text.parse().unwrap();
            assert_eq!((server.to_string().as_str(), server.port), (shown, port));
            assert_eq!(shown.parse(), Ok(server));
        }
    }

    #[test]
    fn nonsense_is_none() {
        for bad in [
            "",
            ":25",
            "relay.test:x",
            "relay.test:0",
            "relay.test:70000",
            "a b",
            "a/b",
            "[::1",
            "::1]",
            "[relay.test]:25",
            "[]",
            "[::1]x:25",
        ] {
            assert_eq!(bad.parse::<HostPort>(), Err(HostPortError), "{bad}");
        }
    }
}
