//! Mail addresses in the one form in which they are stored and compared.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is no address or domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `@` with something on both sides.
    #[error("an address looks like name@example.org")]
    NoAt,
    /// The part before the `@` is longer than 64 bytes or holds a control character, a space or an angle bracket.
    #[error("the part before the @ is not valid")]
    BadLocalPart,
    /// Not a host name of 1 to 255 bytes with labels of 1 to 63.
    #[error("the domain is not valid")]
    BadDomain,
}

/// A domain name in ASCII and lower case, without a final dot. Of an
/// internationalized name it is the form that DNS knows (RFC 5891 A-labels), so
/// that `münchen.example` and `xn--mnchen-3ya.example` are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DomainName(Box<str>);

impl DomainName {
    /// Checks `name` and brings it into its one form.
    pub fn parse(name: &str) -> Result<Self, AddressError> {
        // RFC 1035 §2.3.4: 255 octets, labels of 63.
        let label = |l: &str| {
            let known = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
            !l.is_empty()
                && l.len() <= 63
                && !l.starts_with('-')
                && !l.ends_with('-')
                && l.bytes().all(known)
        };
        if name.len() > 255 {
            return Err(AddressError::BadDomain);
        }
        let ascii = match name.is_ascii() {
            true => name.to_ascii_lowercase(),
            false => idna::domain_to_ascii(name).map_err(|_| AddressError::BadDomain)?,
        };
        if ascii.len() > 255 || !ascii.split('.').all(label) {
            return Err(AddressError::BadDomain);
        }
        Ok(Self(ascii.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `local@domain`, both in lower case: local parts are compared without case,
/// as all common servers do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    local: Box<str>,
    domain: DomainName,
}

impl Address {
    /// Reads `local@domain`. The local part is taken without quotes: SMTP's
    /// quoted form is undone by its parser.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
        Self::new(local, DomainName::parse(domain)?)
    }

    /// The address `local`@`domain`.
    pub fn new(local: &str, domain: DomainName) -> Result<Self, AddressError> {
        // RFC 5321 §4.5.3.1.1: 64 octets.
        let bad = |c: char| c.is_control() || c == ' ' || c == '<' || c == '>';
        if local.is_empty() || local.len() > 64 || local.chars().any(bad) {
            return Err(AddressError::BadLocalPart);
        }
        Ok(Self {
            local: local.to_lowercase().into(),
            domain,
        })
    }

    /// The part before the `@`.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// Splits a plus address: `ann+shop@example.org` is `ann@example.org` with
    /// the detail `shop` (RFC 5233 §4). None where there is no detail.
    pub fn without_detail(&self) -> Option<(Self, &str)> {
        let (user, detail) = self.local.split_once('+')?;
        if user.is_empty() {
            return None;
        }
        Some((
            Self {
                local: user.into(),
                domain: self.domain.clone(),
            },
            detail,
        ))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

// Where people write (settings), both are texts that are checked and brought into
// their one form; the store's encoding holds what was checked before.

/// An address as the store's encoding has it.
#[derive(Serialize, Deserialize)]
struct Stored<L, D> {
    local: L,
    domain: D,
}

impl<'de> Deserialize<'de> for DomainName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let written = from.is_human_readable();
        let name = Box::<str>::deserialize(from)?;
        match written {
            true => Self::parse(&name).map_err(|e| de::Error::custom(format!("`{name}`: {e}"))),
            false => Ok(Self(name)),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match to.is_human_readable() {
            true => to.collect_str(self),
            false => Stored {
                local: &*self.local,
                domain: &self.domain,
            }
            .serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            let text = Box::<str>::deserialize(from)?;
            return Self::parse(&text).map_err(|e| de::Error::custom(format!("`{text}`: {e}")));
        }
        let Stored { local, domain } = Deserialize::deserialize(from)?;
        Ok(Self { local, domain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_write_them_as_text() {
        type Text<'a> = de::value::StrDeserializer<'a, de::value::Error>;
        let text = |text| Text::new(text);
        let address = Address::deserialize(text("Ann@Example.org")).unwrap();
        assert_eq!(address, Address::parse("ann@example.org").unwrap());
        let domain = DomainName::deserialize(text("Example.org")).unwrap();
        assert_eq!(domain.as_str(), "example.org");
        let error = Address::deserialize(text("ann")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`ann`: an address looks like name@example.org"
        );
        assert!(DomainName::deserialize(text("a b")).is_err());
    }

    #[test]
    fn addresses_are_lower_cased_and_checked() {
        assert_eq!(
            Address::parse("Ann@Example.ORG").unwrap().to_string(),
            "ann@example.org"
        );
        assert_eq!(Address::parse("ann"), Err(AddressError::NoAt));
        assert_eq!(Address::parse("@x.org"), Err(AddressError::BadLocalPart));
        assert_eq!(Address::parse("a b@x.org"), Err(AddressError::BadLocalPart));
        for bad in ["a@", "a@x..org", "a@-x.org", "a@x y", "a@.org"] {
            assert_eq!(Address::parse(bad), Err(AddressError::BadDomain), "{bad}");
        }
    }

    #[test]
    fn an_internationalized_domain_has_one_form() {
        let unicode = DomainName::parse("MÜNCHEN.example").unwrap();
        assert_eq!(unicode.as_str(), "xn--mnchen-3ya.example");
        assert_eq!(DomainName::parse("XN--mnchen-3YA.example"), Ok(unicode));
        assert_eq!(
            DomainName::parse("ü..example"),
            Err(AddressError::BadDomain)
        );
    }

    #[test]
    fn a_plus_address_splits() {
        let address = Address::parse("ann+shop+x@example.org").unwrap();
        let (base, detail) = address.without_detail().unwrap();
        assert_eq!(
            (base.to_string().as_str(), detail),
            ("ann@example.org", "shop+x")
        );
        assert!(
            Address::parse("+x@example.org")
                .unwrap()
                .without_detail()
                .is_none()
        );
    }
}
