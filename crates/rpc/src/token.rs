//! The join token: one word that an administrator carries from a running node
//! to a new one. It holds what the new node needs to know the cluster by, what
//! the cluster lets it in for, and where to ask.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::authority::Point;

/// What every token begins with.
const START: &str = "postrider-join-";
/// The version of what follows.
const VERSION: u8 = 1;
/// Bytes of the checksum at the end.
const CHECKSUM: usize = 4;
/// The longest token that is looked at, in bytes.
const LONGEST: usize = 8 * 1024;

/// A join token. Its text has the secret; `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The cluster's id: 32 hexadecimal digits.
    pub cluster: String,
    /// The public key of its authority, an uncompressed point of P-256: what
    /// the new node knows the cluster by.
    pub anchor: [u8; 65],
    /// What the cluster lets it in for.
    pub secret: [u8; 16],
    /// HOST:PORT of nodes that let it in; each up to 255 bytes.
    pub addresses: Vec<String>,
}

/// The text is no join token, or not all of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is something else.
    #[error(
        "this is no join token: one begins with \"{START}\"; make one with `postrider cluster token` on a running node"
    )]
    Other,
    /// Part of it is missing, or a character is wrong.
    #[error(
        "the join token is cut off or was changed on its way: copy it again, it is one word without spaces"
    )]
    Damaged,
    /// A later version of the program made it.
    #[error(
        "the join token is of version {0}, which this program does not know: run the cluster's version here"
    )]
    Version(u8),
}

impl Token {
    /// What the metadata knows the secret by: its BLAKE3.
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.secret).as_bytes()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("cluster", &self.cluster)
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster = u128::from_str_radix(&self.cluster, 16).map_err(|_| fmt::Error)?;
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&cluster.to_be_bytes());
        bytes.extend_from_slice(&self.anchor);
        bytes.extend_from_slice(&self.secret);
        for address in &self.addresses {
            let length = u8::try_from(address.len()).map_err(|_| fmt::Error)?;
            bytes.push(length);
            bytes.extend_from_slice(address.as_bytes());
        }
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        write!(f, "{START}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let Some(word) = text.strip_prefix(START) else {
            // Cut off within its first characters.
            let cut = !text.is_empty() && START.starts_with(text);
            return Err(if cut {
                TokenError::Damaged
            } else {
                TokenError::Other
            });
        };
        if word.len() > LONGEST {
            return Err(TokenError::Damaged);
        }
        let bytes = URL_SAFE_NO_PAD.decode(word);
        let bytes = bytes.map_err(|_| TokenError::Damaged)?;
        let (body, sum) = bytes
            .split_last_chunk::<CHECKSUM>()
            .ok_or(TokenError::Damaged)?;
        if *sum != checksum(body) {
            return Err(TokenError::Damaged);
        }
        match body.split_first() {
            Some((&VERSION, body)) => parse(body).ok_or(TokenError::Damaged),
            Some((&version, _)) => Err(TokenError::Version(version)),
            None => Err(TokenError::Damaged),
        }
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let hash = blake3::hash(bytes);
    let (sum, _) = hash
        .as_bytes()
        .split_first_chunk()
        .expect("a hash has 32 bytes");
    *sum
}

/// What stands between version and checksum.
fn parse(bytes: &[u8]) -> Option<Token> {
    let (cluster, bytes) = bytes.split_first_chunk::<16>()?;
    let (anchor, bytes) = bytes.split_first_chunk::<{ size_of::<Point>() }>()?;
    let (secret, mut bytes) = bytes.split_first_chunk::<16>()?;
    let mut addresses = Vec::new();
    while let Some((&length, rest)) = bytes.split_first() {
        let (address, rest) = rest.split_at_checked(length.into())?;
        addresses.push(String::from_utf8(address.to_vec()).ok()?);
        bytes = rest;
    }
    Some(Token {
        cluster: format!("{:032x}", u128::from_be_bytes(*cluster)),
        anchor: *anchor,
        secret: *secret,
        addresses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token {
            cluster: "00a1b2c3".repeat(4),
            anchor: [4; 65],
            secret: *b"0123456789abcdef",
            addresses: vec!["10.0.0.1:7425".into(), "[2001:db8::1]:7425".into()],
        }
    }

    #[test]
    fn a_token_is_one_word_and_comes_back() {
        let text = token().to_string();
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        );
        assert_eq!(text.parse(), Ok(token()));
        assert_eq!(format!(" {text}\n").parse(), Ok(token()));
        let alone = Token {
            addresses: Vec::new(),
            ..token()
        };
        assert_eq!(alone.to_string().parse(), Ok(alone));
    }

    #[test]
    fn a_token_that_was_cut_off_or_changed_is_told() {
        let text = token().to_string();
        for end in 1..text.len() {
            let cut = text[..end].parse::<Token>();
            assert_eq!(cut, Err(TokenError::Damaged), "{end}");
        }
        for at in START.len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap().parse::<Token>();
            assert_eq!(changed, Err(TokenError::Damaged), "{at}");
        }
        assert_eq!(
            format!("{text}A").parse::<Token>(),
            Err(TokenError::Damaged)
        );
        for other in ["", "hello", "SWMTKN-1-abc"] {
            assert_eq!(other.parse::<Token>(), Err(TokenError::Other));
        }
    }

    #[test]
    fn a_token_of_a_later_version_is_told() {
        let mut bytes = vec![9, 1, 2, 3];
        bytes.extend_from_slice(&checksum(&bytes));
        let text = format!("{START}{}", URL_SAFE_NO_PAD.encode(bytes));
        assert_eq!(text.parse::<Token>(), Err(TokenError::Version(9)));
    }

    #[test]
    fn a_token_is_logged_without_its_secret() {
        let logged = format!("{:?}", token());
        assert!(
            !logged.contains("0123") && !logged.contains("48"),
            "{logged}"
        );
    }
}
