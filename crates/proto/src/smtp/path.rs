//! Paths and mailboxes of MAIL and RCPT (RFC 5321 §4.1.2, RFC 6531 §3.3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use postrider_types::{Address, DomainName};

/// The most bytes of a local part. RFC 5321 §4.5.3.1.1 names 64, but senders
/// that code the recipient into their bounce address send more.
const MAX_LOCAL: usize = 256;
/// The most bytes of a path, a source route included.
const MAX_PATH: usize = 1024;

/// Why a text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No `<` and `>` around it.
    #[error("an address stands in angle brackets: <name@example.org>")]
    NoBrackets,
    /// Longer than the bounds of RFC 5321 §4.5.3.1.
    #[error("the address is too long")]
    TooLong,
    /// The part before the `@` is missing or malformed.
    #[error("the part before the @ is not valid")]
    BadLocalPart,
    /// The domain or the address literal is missing or malformed.
    #[error("the part after the @ is not a domain or an address literal")]
    BadDomain,
    /// The source route before the colon is malformed.
    #[error("the source route is not valid")]
    BadRoute,
}

/// What stands after the `@`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A domain.
    Domain(DomainName),
    /// An address literal (RFC 5321 §4.1.3): `[192.0.2.1]`, `[IPv6:2001:db8::1]`.
    Literal(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => name.fmt(f),
            Self::Literal(IpAddr::V4(ip)) => write!(f, "[{ip}]"),
            Self::Literal(IpAddr::V6(ip)) => write!(f, "[IPv6:{ip}]"),
        }
    }
}

/// A mailbox as the client wrote it: quotes undone, case kept, for bounces go
/// to exactly this local part. `Display` writes it with quotes where it needs
/// them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mailbox {
    local: Box<str>,
    host: Host,
    /// As it was written: its domain is kept in ASCII always.
    ascii: bool,
}

impl Mailbox {
    /// Reads `local@host` without angle brackets. A quoted local part is undone.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let (local, rest) = local_part(text)?;
        let host = rest.strip_prefix('@').ok_or(PathError::BadDomain)?;
        Ok(Self {
            local: local.into(),
            host: parse_host(host)?,
            ascii: text.is_ascii(),
        })
    }

    /// The local part, without quotes.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// What stands after the `@`.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The address as it is stored and compared. None for an address literal
    /// and for a local part that no stored address can have.
    pub fn address(&self) -> Option<Address> {
        match &self.host {
            Host::Domain(domain) => Address::new(&self.local, domain.clone()).ok(),
            Host::Literal(_) => None,
        }
    }

    /// Whether it was written in plain ASCII: needs no SMTPUTF8 (RFC 6531).
    pub fn is_ascii(&self) -> bool {
        self.ascii
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RFC 5321 §4.1.2: a Dot-string as it is, anything else as a Quoted-string.
        let dot_string = self
            .local
            .split('.')
            .all(|a| !a.is_empty() && a.chars().all(is_atext));
        if dot_string {
            f.write_str(&self.local)?;
        } else {
            f.write_str("\"")?;
            for c in self.local.chars() {
                if matches!(c, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\"")?;
        }
        write!(f, "@{}", self.host)
    }
}

/// Where RCPT sends to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain, in any case (RFC 5321 §4.1.1.3).
    Postmaster,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("postmaster"),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

/// Reads a reverse-path at the start of `text`: None for `<>`. Also returns
/// what follows it.
pub(super) fn reverse_path(text: &str) -> Result<(Option<Mailbox>, &str), PathError> {
    let (inner, rest) = brackets(text)?;
    if inner.is_empty() {
        return Ok((None, rest));
    }
    Ok((Some(Mailbox::parse(without_route(inner)?)?), rest))
}

/// Reads a forward-path at the start of `text`, and returns what follows it.
pub(super) fn forward_path(text: &str) -> Result<(ForwardPath, &str), PathError> {
    let (inner, rest) = brackets(text)?;
    if inner.eq_ignore_ascii_case("postmaster") {
        return Ok((ForwardPath::Postmaster, rest));
    }
    let mailbox = Mailbox::parse(without_route(inner)?)?;
    Ok((ForwardPath::Mailbox(mailbox), rest))
}

/// What stands between `<` and the `>` that ends it (one within quotes does
/// not), and what follows.
fn brackets(text: &str) -> Result<(&str, &str), PathError> {
    let inner = text.strip_prefix('<').ok_or(PathError::NoBrackets)?;
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        if at > MAX_PATH {
            return Err(PathError::TooLong);
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Ok((&inner[..at], &inner[at + 1..])),
            _ => {}
        }
    }
    Err(PathError::NoBrackets)
}

/// Checks and drops a source route, `@a,@b:` (RFC 5321 §4.1.1.3: to be
/// accepted and ignored).
fn without_route(inner: &str) -> Result<&str, PathError> {
    if !inner.starts_with('@') {
        return Ok(inner);
    }
    let (route, mailbox) = inner.split_once(':').ok_or(PathError::BadRoute)?;
    for hop in route.split(',') {
        let hop = hop.strip_prefix('@').ok_or(PathError::BadRoute)?;
        DomainName::parse(hop).map_err(|_| PathError::BadRoute)?;
    }
    Ok(mailbox)
}

/// Reads a local part at the start of `text`: its plain form and what follows.
fn local_part(text: &str) -> Result<(String, &str), PathError> {
    let (local, rest) = if let Some(quoted) = text.strip_prefix('"') {
        quoted_string(quoted)?
    } else {
        // RFC 5321 §4.1.2 Dot-string, but dots may stand anywhere: there are
        // real mailboxes with two in a row or one at the end.
        let end = text
            .find(|c| !is_atext(c) && c != '.')
            .unwrap_or(text.len());
        (text[..end].to_owned(), &text[end..])
    };
    if local.is_empty() {
        return Err(PathError::BadLocalPart);
    }
    if local.len() > MAX_LOCAL {
        return Err(PathError::TooLong);
    }
    Ok((local, rest))
}

/// RFC 5321 §4.1.2: the rest of a Quoted-string after its opening quote.
fn quoted_string(text: &str) -> Result<(String, &str), PathError> {
    let mut local = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let c = match c {
            '"' => return Ok((local, &text[at + 1..])),
            '\\' => chars.next().ok_or(PathError::BadLocalPart)?.1,
            c => c,
        };
        if c.is_control() {
            return Err(PathError::BadLocalPart);
        }
        local.push(c);
    }
    Err(PathError::BadLocalPart)
}

fn parse_host(text: &str) -> Result<Host, PathError> {
    let Some(literal) = text.strip_prefix('[') else {
        // A final dot is not in the grammar, but seen and harmless.
        let name = text.strip_suffix('.').unwrap_or(text);
        return DomainName::parse(name)
            .map(Host::Domain)
            .map_err(|_| PathError::BadDomain);
    };
    let literal = literal.strip_suffix(']').ok_or(PathError::BadDomain)?;
    // RFC 5321 §4.1.3; other tags than IPv6 are not registered.
    let ip = match literal.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
            literal[5..].parse::<Ipv6Addr>().map(IpAddr::V6)
        }
        _ => literal.parse::<Ipv4Addr>().map(IpAddr::V4),
    };
    ip.map(Host::Literal).map_err(|_| PathError::BadDomain)
}

/// RFC 5322 §3.2.3 atext, and any character beyond ASCII (RFC 6531 §3.3).
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control())
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
