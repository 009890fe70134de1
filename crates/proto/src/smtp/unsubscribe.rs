//! The tokens of one-click unsubscription (RFC 8058): who leaves which list, in
//! letters that fit into a URL and that nobody but the cluster can make.
//!
//! Nothing is stored for a token, so it is good for as long as the key is. It names
//! one member of one list; what may be done with it is for others to say.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of the code that proves a token to be ours: 128 bits.
const CODE: usize = 16;
/// The longest token that is looked at, in bytes. Two of the longest addresses
/// (RFC 5321 §4.5.3.1.3: 254 octets) make 704.
const MAX_TOKEN: usize = 1024;
/// Tells this use of the cluster's secret from every other.
const CONTEXT: &str = "postrider 2026 one-click unsubscription";

/// The key of a cluster's tokens. Never shown.
#[derive(Clone)]
pub struct UnsubscribeKey([u8; 32]);

/// What a token says: this member leaves this list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The list's address.
    pub list: String,
    /// The member, as the list has it.
    pub member: String,
}

impl UnsubscribeKey {
    /// The key that follows from the cluster's secret. It is derived, so that no
    /// token is worth anything as another proof under the same secret.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(blake3::derive_key(CONTEXT, &secret))
    }

    /// The token with which `member` leaves `list`, in letters, digits, `-` and `_`.
    pub fn token(&self, list: &str, member: &str) -> String {
        let text = format!("{list}\0{member}");
        let mut token = self.code(text.as_bytes()).as_bytes()[..CODE].to_vec();
        token.extend_from_slice(text.as_bytes());
        URL_SAFE_NO_PAD.encode(token)
    }

    /// What `token` says; None if it is none of ours.
    pub fn open(&self, token: &str) -> Option<Unsubscribe> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (code, text) = bytes.split_at_checked(CODE)?;
        // A whole hash is compared, as only that takes the same time for all.
        let expected = self.code(text);
        let mut whole = *expected.as_bytes();
        whole[..CODE].copy_from_slice(code);
        if blake3::Hash::from_bytes(whole) != expected {
            return None;
        }
        let (list, member) = std::str::from_utf8(text).ok()?.split_once('\0')?;
        Some(Unsubscribe {
            list: list.into(),
            member: member.into(),
        })
    }

    fn code(&self, text: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.0, text)
    }
}

/// Where members of a mailing list take themselves out (RFC 8058).
#[derive(Clone, Debug)]
pub struct UnsubscribeLinks {
    /// The server that takes the links: `https://HOST`, no slash at the end.
    pub url: String,
    /// The key of their tokens, the same on all nodes.
    pub key: UnsubscribeKey,
}

impl UnsubscribeLinks {
    /// The header fields of a copy by which the entry `member` leaves `list`, CRLF at
    /// the end.
    pub fn fields(&self, list: &str, member: &str) -> String {
        let token = self.key.token(list, member);
        // RFC 8058 §3.1
        format!(
            "List-Unsubscribe: <{}/unsubscribe/{token}>\r\n\
             List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
            self.url
        )
    }
}

impl fmt::Debug for UnsubscribeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnsubscribeKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "news@example.org";

    fn key() -> UnsubscribeKey {
        UnsubscribeKey::new([7; 32])
    }

    #[test]
    fn a_token_tells_list_and_member() {
        for member in ["ann@outside.test", "jürgen@müller.test", "\"a b\"@x.test"] {
            let token = key().token(LIST, member);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            assert!(token.bytes().all(plain), "{token}");
            let opened = key().open(&token).unwrap();
            assert_eq!(
                (opened.list.as_str(), opened.member.as_str()),
                (LIST, member)
            );
        }
    }

    #[test]
    fn a_changed_byte_makes_it_worthless() {
        let token = key().token(LIST, "ann@outside.test");
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[index] ^= 1 << bit;
                let other = URL_SAFE_NO_PAD.encode(other);
                assert_eq!(key().open(&other), None, "byte {index}");
            }
        }
        for end in 0..token.len() {
            assert_eq!(key().open(&token[..end]), None, "{end}");
        }
        assert_eq!(key().open(&format!("{token}A")), None);
        assert_eq!(key().open(&format!("{token}=")), None);
    }

    #[test]
    fn another_cluster_makes_none() {
        let token = UnsubscribeKey::new([8; 32]).token(LIST, "ann@outside.test");
        assert_eq!(key().open(&token), None);
    }

    #[test]
    fn odd_input_is_no_token() {
        let forged = URL_SAFE_NO_PAD.encode([0; 64]);
        for odd in ["", "A", "é", "a b", "../..", &forged] {
            assert_eq!(key().open(odd), None, "{odd}");
        }
    }

    #[test]
    fn length_is_bounded() {
        let longest = format!("{}@{}", "l".repeat(64), "d".repeat(189));
        assert!(key().open(&key().token(&longest, &longest)).is_some());
        let long = "m".repeat(MAX_TOKEN);
        assert_eq!(key().open(&key().token(LIST, &long)), None);
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(format!("{:?}", key()), "UnsubscribeKey");
    }
}
