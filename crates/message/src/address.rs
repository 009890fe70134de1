//! Address lists (RFC 5322 §3.4, the obsolete forms of §4.4 too) as IMAP shows
//! them: raw display names, groups as markers. Takes any bytes; what cannot be
//! read becomes the nearest thing to an address.

use bytes::Bytes;

use crate::Address;
use crate::mime::quoted;

/// The most elements of one list.
const MAX_ADDRESSES: usize = 10_000;

/// Reads the value of an address field and appends its elements to `out`.
/// `budget` is the number of bytes that may still be kept; what exceeds it is dropped.
pub(crate) fn read_list(value: &[u8], budget: &mut usize, out: &mut Vec<Address>) {
    let mut parser = Parser {
        rest: value,
        words: Words::default(),
        in_group: false,
        budget,
        out,
    };
    parser.list();
}

/// Words read so far of a phrase or an address.
#[derive(Default)]
struct Words {
    /// Joined as a phrase: a space between words.
    phrase: Vec<u8>,
    /// Joined as an address: as written, without white space.
    spec: Vec<u8>,
    /// Where in `spec` the last `@` outside quotes is.
    at: Option<usize>,
    /// The last comment.
    comment: Vec<u8>,
    /// White space stood before the next word.
    space: bool,
}

impl Words {
    fn push(&mut self, word: &[u8]) {
        if self.space && !self.phrase.is_empty() {
            self.phrase.push(b' ');
        }
        self.space = false;
        self.phrase.extend_from_slice(word);
        self.spec.extend_from_slice(word);
    }
}

struct Parser<'a, 'b> {
    rest: &'a [u8],
    words: Words,
    in_group: bool,
    budget: &'b mut usize,
    out: &'b mut Vec<Address>,
}

impl Parser<'_, '_> {
    fn list(&mut self) {
        while let Some((&byte, rest)) = self.rest.split_first() {
            if self.out.len() >= MAX_ADDRESSES || *self.budget == 0 {
                break;
            }
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.words.space = true;
                    self.rest = rest;
                }
                b'"' => {
                    let (word, rest) = quoted(self.rest);
                    self.words.push(&word);
                    self.rest = rest;
                }
                b'(' => self.comment(),
                b'<' => self.angle(),
                b'@' => {
                    self.words.at = Some(self.words.spec.len());
                    self.words.push(b"@");
                    self.rest = rest;
                }
                b':' => {
                    self.rest = rest;
                    self.open_group();
                }
                b';' => {
                    self.rest = rest;
                    self.bare();
                    self.close_group();
                }
                b',' => {
                    self.rest = rest;
                    self.bare();
                }
                // A domain literal may hold colons (RFC 5322 §3.4.1).
                b'[' if self.words.at.is_some() => {
                    let end = self.rest.iter().position(|b| matches!(b, b']' | b','));
                    let (literal, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                    self.words.push(literal);
                    self.rest = rest;
                }
                _ => self.word(),
            }
        }
        self.bare();
        self.close_group();
    }

    fn word(&mut self) {
        let special = |b: &u8| b" \t\r\n\"(<@:;,".contains(b);
        let end = self.rest.iter().skip(1).position(special);
        let (word, rest) = self.rest.split_at(end.map_or(self.rest.len(), |at| at + 1));
        self.words.push(word);
        self.rest = rest;
    }

    fn comment(&mut self) {
        let mut depth = 0_usize;
        let mut at = 0;
        let mut text = Vec::new();
        while let Some(&byte) = self.rest.get(at) {
            at += 1;
            match byte {
                b'\\' => {
                    text.extend(self.rest.get(at));
                    at += 1;
                    continue;
                }
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            let is_opening = byte == b'(' && depth == 1;
            if !is_opening && !matches!(byte, b'\r' | b'\n') {
                text.push(byte);
            }
        }
        self.rest = self.rest.get(at..).unwrap_or_default();
        self.words.comment = text.trim_ascii().to_vec();
        self.words.space = true;
    }

    /// `<route:local@domain>`; the words so far are the display name.
    fn angle(&mut self) {
        let name = std::mem::take(&mut self.words).phrase;
        self.rest = &self.rest[1..];
        let mut spec = Words::default();
        let mut route = None;
        while let Some((&byte, rest)) = self.rest.split_first() {
            match byte {
                b'>' => {
                    self.rest = rest;
                    break;
                }
                // An unclosed bracket ends with the address.
                b',' if spec.at.is_some() && !spec.spec.starts_with(b"@") => break,
                b' ' | b'\t' | b'\r' | b'\n' => self.rest = rest,
                b'"' => {
                    let (word, rest) = quoted(self.rest);
                    spec.push(&word);
                    self.rest = rest;
                }
                b'(' => {
                    let outer = std::mem::take(&mut self.words);
                    self.comment();
                    self.words = outer;
                }
                // RFC 5322 §4.4: obs-route.
                b':' if spec.spec.starts_with(b"@") && route.is_none() => {
                    route = Some(std::mem::take(&mut spec).spec);
                    self.rest = rest;
                }
                b'@' => {
                    spec.at = Some(spec.spec.len());
                    spec.push(b"@");
                    self.rest = rest;
                }
                _ => {
                    spec.push(&[byte]);
                    self.rest = rest;
                }
            }
        }
        self.push_spec(&name, route, &spec);
    }

    /// An address without brackets, or nothing.
    fn bare(&mut self) {
        let words = std::mem::take(&mut self.words);
        if words.spec.is_empty() {
            return;
        }
        // RFC 5322 §3.4 note: the old form `ann@example.org (Ann)`.
        self.push_spec(&words.comment, None, &words);
    }

    fn push_spec(&mut self, name: &[u8], route: Option<Vec<u8>>, spec: &Words) {
        let (mailbox, host) = match spec.at {
            Some(at) => (&spec.spec[..at], &spec.spec[at + 1..]),
            None => (&spec.spec[..], &[][..]),
        };
        self.push(Address {
            name: (!name.is_empty()).then(|| Bytes::copy_from_slice(name)),
            adl: route.map(Bytes::from),
            mailbox: Some(Bytes::copy_from_slice(mailbox)),
            host: Some(Bytes::copy_from_slice(host)),
        });
    }

    fn open_group(&mut self) {
        let words = std::mem::take(&mut self.words);
        if self.in_group || words.phrase.is_empty() {
            return;
        }
        self.in_group = self.push(Address {
            mailbox: Some(words.phrase.into()),
            ..Address::default()
        });
    }

    fn close_group(&mut self) {
        if std::mem::take(&mut self.in_group) {
            self.out.push(Address::default());
        }
    }

    fn push(&mut self, address: Address) -> bool {
        let len = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len) + 4;
        let cost =
            len(&address.name) + len(&address.adl) + len(&address.mailbox) + len(&address.host);
        let Some(left) = self.budget.checked_sub(cost) else {
            *self.budget = 0;
            return false;
        };
        *self.budget = left;
        self.out.push(address);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        let mut out = Vec::new();
        read_list(value.as_bytes(), &mut 10_000, &mut out);
        let text = |part: &Option<Bytes>| {
            part.as_ref().map_or("NIL".to_owned(), |b| {
                String::from_utf8_lossy(b).into_owned()
            })
        };
        out.iter()
            .map(|a| {
                format!(
                    "[{}|{}|{}|{}]",
                    text(&a.name),
                    text(&a.adl),
                    text(&a.mailbox),
                    text(&a.host)
                )
            })
            .collect()
    }

    #[test]
    fn lists_are_read() {
        for (value, want) in [
            ("", ""),
            (" , ,", ""),
            ("a@b.c", "[NIL|NIL|a|b.c]"),
            ("a@b, c@d", "[NIL|NIL|a|b][NIL|NIL|c|d]"),
            ("Ann Smith <a@b>", "[Ann Smith|NIL|a|b]"),
            ("\"Smith, \\\"Ann\\\"\" <a@b>", "[Smith, \"Ann\"|NIL|a|b]"),
            ("Ann\r\n  Smith\t<a@b>", "[Ann Smith|NIL|a|b]"),
            ("J. Q. Public <j@x>", "[J. Q. Public|NIL|j|x]"),
            ("=?utf-8?q?=C3=A9?= <a@b>", "[=?utf-8?q?=C3=A9?=|NIL|a|b]"),
            ("a@b (Ann (x) Smith)", "[Ann (x) Smith|NIL|a|b]"),
            ("<@r1,@r2:a@b>", "[NIL|@r1,@r2|a|b]"),
            (
                "group: a@b, C <c@d>;, e@f",
                "[NIL|NIL|group|NIL][NIL|NIL|a|b][C|NIL|c|d][NIL|NIL|NIL|NIL][NIL|NIL|e|f]",
            ),
            (
                "undisclosed-recipients:;",
                "[NIL|NIL|undisclosed-recipients|NIL][NIL|NIL|NIL|NIL]",
            ),
            (
                "My Group: a@b",
                "[NIL|NIL|My Group|NIL][NIL|NIL|a|b][NIL|NIL|NIL|NIL]",
            ),
            ("root", "[NIL|NIL|root|]"),
            ("<root>", "[NIL|NIL|root|]"),
            ("<>", "[NIL|NIL||]"),
            ("\"a b\"@c", "[NIL|NIL|a b|c]"),
            ("\"a@b\"@c", "[NIL|NIL|a@b|c]"),
            ("a . b @ c . d", "[NIL|NIL|a.b|c.d]"),
            ("Ann <a@b, c@d", "[Ann|NIL|a|b][NIL|NIL|c|d]"),
            (
                "\u{e9}t\u{e9} <\u{e9}@\u{fc}.org>",
                "[\u{e9}t\u{e9}|NIL|\u{e9}|\u{fc}.org]",
            ),
            ("a@[127.0.0.1]", "[NIL|NIL|a|[127.0.0.1]]"),
            ("a@[IPv6:::1], b@c", "[NIL|NIL|a|[IPv6:::1]][NIL|NIL|b|c]"),
            ("<a@[IPv6:::1]>", "[NIL|NIL|a|[IPv6:::1]]"),
            ("(only a comment)", ""),
            ("<a@b> c@d", "[NIL|NIL|a|b][NIL|NIL|c|d]"),
            (";;:;,:", ""),
        ] {
            assert_eq!(shown(value), want, "{value:?}");
        }
    }

    #[test]
    fn a_list_keeps_to_its_budget() {
        let value = "name <someone@example.org>, ".repeat(1000);
        let mut budget = 1000;
        let mut out = Vec::new();
        read_list(value.as_bytes(), &mut budget, &mut out);
        assert!((10..50).contains(&out.len()), "{}", out.len());
        assert_eq!(budget, 0);
    }
}
