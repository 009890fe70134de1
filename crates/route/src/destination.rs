//! The right side of a recipient's address: a domain or an address literal.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use postrider_types::{AddressError, DomainName};

/// Whither mail is to go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// The hosts that receive for a domain.
    Domain(DomainName),
    /// The host with this address.
    Literal(IpAddr),
}

/// Why a text is no destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Not a domain name.
    #[error(transparent)]
    Domain(#[from] AddressError),
    /// In brackets, but not an address.
    #[error("an address literal looks like [192.0.2.1] or [IPv6:2001:db8::1]")]
    Literal,
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let Some(inside) = text.strip_prefix('[') else {
            return Ok(Self::Domain(DomainName::parse(text)?));
        };
        let inside = inside.strip_suffix(']').ok_or(DestinationError::Literal)?;
        // RFC 5321 §4.1.3: IPv6 addresses carry a tag, which has no case.
        let address = match inside.split_at_checked(5) {
            Some((tag, v6)) if tag.eq_ignore_ascii_case("IPv6:") => {
                v6.parse::<Ipv6Addr>().map(IpAddr::V6)
            }
            _ => inside.parse().map(IpAddr::V4),
        };
        address
            .map(Self::Literal)
            .map_err(|_| DestinationError::Literal)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => name.fmt(f),
            Self::Literal(IpAddr::V4(v4)) => write!(f, "[{v4}]"),
            Self::Literal(IpAddr::V6(v6)) => write!(f, "[IPv6:{v6}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_and_literals_are_read_and_shown() {
        for (text, shown) in [
            ("Example.ORG", "example.org"),
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("[ipv6:2001:DB8::1]", "[IPv6:2001:db8::1]"),
        ] {
            let destination: Destination = text.parse().unwrap();
            assert_eq!(destination.to_string(), shown);
            assert_eq!(shown.parse(), Ok(destination));
        }
    }

    #[test]
    fn broken_ones_are_refused() {
        for bad in [
            "[192.0.2.1",
            "[2001:db8::1]",
            "[IPv6:192.0.2.1]",
            "[]",
            "[é€]",
        ] {
            assert_eq!(
                bad.parse::<Destination>(),
                Err(DestinationError::Literal),
                "{bad}"
            );
        }
        assert!("a..b".parse::<Destination>().is_err());
        assert!("192.0.2.1]".parse::<Destination>().is_err());
    }
}
