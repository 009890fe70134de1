//! [`SignedHeader`]: the header of a message as it is read in pieces, of which
//! the fields that are signed are held in relaxed canonicalization (RFC 6376
//! §3.4.2). They are hashed from the last to the first, so they must be held.

use aws_lc_rs::digest::Context;

/// The most bytes of the fields that are signed.
pub const MAX_SIGNED_HEADER: usize = 256 * 1024;
/// The most fields that are signed.
pub const MAX_SIGNED_FIELDS: usize = 200;
/// The longest name that is looked for, with white space behind it.
const MAX_NAME: usize = 64;

/// A field that is signed.
struct Rule {
    /// Its name in lower case.
    name: &'static str,
    /// One more than there are is signed, so that nobody can add one on the way
    /// (RFC 6376 §5.4, §8.15).
    sealed: bool,
}

const fn sealed(name: &'static str) -> Rule {
    Rule { name, sealed: true }
}

/// Lists add and replace these, so that they are signed only where they are.
const fn as_it_is(name: &'static str) -> Rule {
    Rule {
        name,
        sealed: false,
    }
}

/// RFC 6376 §5.4.1; RFC 8058 §4 asks for List-Unsubscribe-Post, RFC 8460 §5.3 for
/// the fields of TLS reports.
const RULES: &[Rule] = &[
    sealed("from"),
    sealed("to"),
    sealed("cc"),
    sealed("subject"),
    sealed("date"),
    sealed("message-id"),
    sealed("reply-to"),
    sealed("in-reply-to"),
    sealed("references"),
    sealed("mime-version"),
    sealed("content-type"),
    sealed("content-transfer-encoding"),
    as_it_is("sender"),
    as_it_is("resent-date"),
    as_it_is("resent-from"),
    as_it_is("resent-sender"),
    as_it_is("resent-to"),
    as_it_is("resent-cc"),
    as_it_is("resent-message-id"),
    as_it_is("list-id"),
    as_it_is("list-help"),
    as_it_is("list-unsubscribe"),
    as_it_is("list-unsubscribe-post"),
    as_it_is("list-subscribe"),
    as_it_is("list-post"),
    as_it_is("list-owner"),
    as_it_is("list-archive"),
    as_it_is("tls-report-domain"),
    as_it_is("tls-report-submitter"),
];

/// One more, where a forwarder vouches for what it got: RFC 8617 §4.1.2 asks that
/// DKIM-Signature is covered, and forbids ARC-Seal. The sets of others are covered
/// by the seal alone, Authentication-Results may be removed on the way (§4.1.2).
const SIGNATURE: Rule = as_it_is("dkim-signature");

/// What the bytes at hand belong to.
#[derive(Clone, Copy)]
enum Reading {
    /// The start of a line, up to its colon.
    Name,
    /// The value of a field that is signed: the place of its rule.
    Value(usize),
    /// Anything that is not signed.
    Other,
}

/// The state between two pieces of a header.
pub(crate) struct SignedHeader {
    /// DKIM-Signature is signed too.
    signatures: bool,
    /// Rule and canonical value, in the order of the message.
    fields: Vec<(usize, Vec<u8>)>,
    /// The name or value being read.
    raw: Vec<u8>,
    reading: Reading,
    line_start: bool,
    ended: bool,
    /// Bytes in `fields` and `raw`.
    held: usize,
    overflow: bool,
}

impl SignedHeader {
    pub(crate) fn new() -> Self {
        Self {
            signatures: false,
            fields: Vec::new(),
            raw: Vec::new(),
            reading: Reading::Other,
            line_start: true,
            ended: false,
            held: 0,
            overflow: false,
        }
    }

    /// One that covers DKIM-Signature fields as well.
    pub(crate) fn with_signatures() -> Self {
        Self {
            signatures: true,
            ..Self::new()
        }
    }

    /// Reads `piece` up to the header's end and gives what lies behind it.
    pub(crate) fn update<'a>(&mut self, mut piece: &'a [u8]) -> &'a [u8] {
        while !self.ended && !piece.is_empty() {
            // RFC 5322 §2.2.3: white space at the start goes on with the field.
            if self.line_start && !is_blank(piece[0]) {
                self.close_field();
                self.reading = Reading::Name;
            }
            let line_feed = piece.iter().position(|b| *b == b'\n');
            let (line, rest) = piece.split_at(line_feed.map_or(piece.len(), |at| at + 1));
            self.line_start = line_feed.is_some();
            self.take(line);
            piece = rest;
        }
        piece
    }

    /// Ends the header, where the message may have ended within it. False where
    /// there is more to sign than is held.
    pub(crate) fn finish(&mut self) -> bool {
        self.close_field();
        !self.overflow
    }

    /// The names for the tag h=, in the order in which [`Self::hash`] takes them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.rules().enumerate().flat_map(|(index, rule)| {
            let count = self.fields.iter().filter(|(r, _)| *r == index).count();
            std::iter::repeat_n(rule.name, count + usize::from(rule.sealed))
        })
    }

    /// Hashes the fields. RFC 6376 §5.4.2: of those with one name, the last first;
    /// one that is not there counts as nothing.
    pub(crate) fn hash(&self, hash: &mut Context) {
        for (index, rule) in self.rules().enumerate() {
            for (_, value) in self.fields.iter().rev().filter(|(r, _)| *r == index) {
                hash.update(rule.name.as_bytes());
                hash.update(b":");
                hash.update(value);
                hash.update(b"\r\n");
            }
        }
    }

    fn rules(&self) -> impl Iterator<Item = &'static Rule> {
        RULES.iter().chain(self.signatures.then_some(&SIGNATURE))
    }

    /// The rule for the field `name`: its place among all.
    fn rule(&self, name: &[u8]) -> Option<usize> {
        let name = name.trim_ascii_end();
        let named = |rule: &Rule| rule.name.as_bytes().eq_ignore_ascii_case(name);
        self.rules().position(named)
    }

    /// Reads a line, or the next piece of one.
    fn take(&mut self, line: &[u8]) {
        match self.reading {
            Reading::Name => self.take_name(line),
            Reading::Value(_) => self.take_value(line),
            Reading::Other => {}
        }
    }

    fn take_name(&mut self, line: &[u8]) {
        let colon = line.iter().position(|b| *b == b':');
        let name = &line[..colon.unwrap_or(line.len())];
        let room = MAX_NAME + 1 - self.raw.len();
        self.raw.extend_from_slice(&name[..name.len().min(room)]);
        if let Some(colon) = colon {
            self.reading = self.rule(&self.raw).map_or(Reading::Other, Reading::Value);
            self.raw.clear();
            self.take(&line[colon + 1..]);
        } else if line.ends_with(b"\n") || self.raw.len() > MAX_NAME {
            self.ended = matches!(self.raw.as_slice(), b"\n" | b"\r\n");
            self.reading = Reading::Other;
            self.raw.clear();
        }
    }

    fn take_value(&mut self, line: &[u8]) {
        if self.held + line.len() > MAX_SIGNED_HEADER {
            self.overflow = true;
            return;
        }
        self.held += line.len();
        self.raw.extend_from_slice(line);
    }

    fn close_field(&mut self) {
        if let Reading::Value(rule) = self.reading {
            let value = relaxed(&self.raw);
            self.held = self.held + value.len() - self.raw.len();
            if self.fields.len() < MAX_SIGNED_FIELDS {
                self.fields.push((rule, value));
            } else {
                self.overflow = true;
            }
        }
        self.raw.clear();
        self.reading = Reading::Other;
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A field's value, unfolded, each run of white space as one space and none at
/// both ends (RFC 6376 §3.4.2).
pub(crate) fn relaxed(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut space = false;
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            b'\n' => {}
            b'\r' if value.get(at + 1) == Some(&b'\n') => {}
            b' ' | b'\t' => space = true,
            _ => {
                if std::mem::take(&mut space) && !out.is_empty() {
                    out.push(b' ');
                }
                out.push(byte);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> (Vec<(&'static str, String)>, String) {
        let mut whole = SignedHeader::new();
        let rest = whole.update(header.as_bytes()).to_vec();
        assert!(whole.finish());
        let shown = |header: &SignedHeader| -> Vec<_> {
            let text = |v: &[u8]| String::from_utf8_lossy(v).into_owned();
            let fields = header.fields.iter();
            fields.map(|(r, v)| (RULES[*r].name, text(v))).collect()
        };
        // Byte by byte it is the same.
        let mut slow = SignedHeader::new();
        let bytes = header.as_bytes().chunks(1);
        let slow_rest: Vec<u8> = bytes.flat_map(|b| slow.update(b).to_vec()).collect();
        assert!(slow.finish());
        assert_eq!(shown(&slow), shown(&whole), "{header:?}");
        assert_eq!(slow_rest, rest, "{header:?}");
        (shown(&whole), String::from_utf8_lossy(&rest).into_owned())
    }

    #[test]
    fn signed_fields_are_found() {
        for (header, want, rest) in [
            ("", vec![], ""),
            ("\r\nbody: no", vec![], "body: no"),
            (
                "FROM :  a@b \t c\r\n\t d \r\nX: y\r\n z\r\nTo:\r\n\r\nbody",
                vec![("from", "a@b c d"), ("to", "")],
                "body",
            ),
            (
                "Subject: one\nSubject: two\n \n three\n\n",
                vec![("subject", "one"), ("subject", "two three")],
                "",
            ),
            // A line that is no field, one that is cut, a first line that goes on
            // with nothing.
            (" From: x\r\nfrom x\r\nTo: y", vec![("to", "y")], ""),
            ("From\r\n : x\r\n", vec![], ""),
            ("From: a\rb\r\r\n", vec![("from", "a\rb\r")], ""),
            (
                "DKIM-Signature: x\r\nReceived: y\r\nSender: z\r\n",
                vec![("sender", "z")],
                "",
            ),
        ] {
            let (fields, left) = read(header);
            let fields: Vec<_> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
            assert_eq!((fields, left.as_str()), (want, rest), "{header:?}");
        }
        let long = format!("{}From: x\r\nFrom: y\r\n", "n".repeat(1000));
        assert_eq!(read(&long).0, [("from", "y".into())]);
    }

    #[test]
    fn names_count_one_more_where_none_may_be_added() {
        let mut header = SignedHeader::new();
        header.update(b"To: a\r\nFrom: b\r\nTo: c\r\nList-Id: d\r\n\r\n");
        assert!(header.finish());
        let names: Vec<_> = header.names().collect();
        let count = |name| names.iter().filter(|n| **n == name).count();
        let counts = ["from", "to", "cc", "list-id", "list-post"].map(count);
        assert_eq!(counts, [2, 3, 1, 1, 0]);
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut header = SignedHeader::new();
        header.update(b"To: ");
        for _ in 0..1000 {
            header.update(&[b'x'; 1024]);
        }
        assert!(header.held <= MAX_SIGNED_HEADER);
        assert!(!header.finish());

        let mut header = SignedHeader::new();
        for _ in 0..=MAX_SIGNED_FIELDS {
            header.update(b"To: x\r\n");
        }
        assert!(!header.finish());

        // What is not signed does not count.
        let mut header = SignedHeader::new();
        for _ in 0..10_000 {
            header.update(b"Received: from somewhere by somewhere else with something\r\n");
        }
        assert!(header.finish());
    }
}
