//! The message's header on its way in: counts hops, notes where the message
//! was delivered before and whether its sender waives TLS, and adds Date and Message-ID where a submitted
//! message lacks them. Holds back less than one line; the body it never sees.

/// The most bytes of a line that may pass for a field name. RFC 5322 §2.1.1
/// allows 998, but nobody names a field so.
const MAX_NAME: usize = 256;
/// The most bytes of a value that are looked at.
const MAX_VALUE: usize = 400;
/// The most Delivered-To fields that are remembered.
const MAX_DELIVERED_TO: usize = 100;

/// Fields for a message that lacks them, whole lines with CRLF.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    pub(crate) date: String,
    pub(crate) message_id: String,
}

/// A field whose value is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noted {
    DeliveredTo,
    /// RFC 8689 §3
    TlsRequired,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Within what may be a field name; its bytes are in `held`.
    Name,
    /// Within a field's value, or in its continuation.
    Value,
    /// Past the header.
    Body,
}

/// Watches one message's header.
#[derive(Debug)]
pub(crate) struct Header {
    state: State,
    held: Vec<u8>,
    /// A value that is looked at, so far.
    value: Option<(Noted, Vec<u8>)>,
    missing: Option<Missing>,
    fields: u32,
    hops: u32,
    has_date: bool,
    has_message_id: bool,
    delivered_to: Vec<Box<str>>,
    tls_optional: bool,
    /// The start of the message as it goes on, up to `keep` bytes.
    start: Vec<u8>,
    keep: usize,
}

impl Header {
    /// Watches a header, and adds what is `missing` (nothing where None).
    pub(crate) fn new(missing: Option<Missing>) -> Self {
        Self {
            state: State::Name,
            held: Vec::new(),
            value: None,
            missing,
            fields: 0,
            hops: 0,
            has_date: false,
            has_message_id: false,
            delivered_to: Vec::new(),
            tls_optional: false,
            start: Vec::new(),
            keep: 0,
        }
    }

    /// Has up to `most` bytes kept for [`Self::start`].
    pub(crate) fn keep(&mut self, most: usize) {
        self.keep = most;
    }

    /// What was kept of what went on: the header, and perhaps more.
    pub(crate) fn start(&self) -> &[u8] {
        &self.start
    }

    /// Whether the header has ended: what follows need not be pushed.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Body
    }

    /// How many Received fields there are.
    pub(crate) fn hops(&self) -> u32 {
        self.hops
    }

    /// Whether a Delivered-To field names `address` (in lower case).
    pub(crate) fn was_delivered_to(&self, address: &str) -> bool {
        self.delivered_to.iter().any(|seen| &**seen == address)
    }

    /// Whether the sender waives TLS: `TLS-Required: No` (RFC 8689 §3).
    pub(crate) fn tls_optional(&self) -> bool {
        self.tls_optional
    }

    /// Takes the next bytes of the message, and appends to `out` what goes on
    /// in their place.
    pub(crate) fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        let before = out.len();
        while !piece.is_empty() {
            let used = match self.state {
                State::Name => self.name(piece, out),
                State::Value => self.value(piece, out),
                State::Body => {
                    out.extend_from_slice(piece);
                    piece.len()
                }
            };
            piece = piece.get(used..).unwrap_or_default();
        }
        self.note_start(out.get(before..).unwrap_or_default());
    }

    /// The message ends: appends to `out` what was held back or is missing.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.state != State::Body {
            let before = out.len();
            self.end(!self.held.is_empty(), out);
            self.note_start(out.get(before..).unwrap_or_default());
        }
    }

    fn note_start(&mut self, bytes: &[u8]) {
        let room = self.keep.saturating_sub(self.start.len());
        self.start.extend(bytes.iter().take(room));
    }

    fn name(&mut self, piece: &[u8], out: &mut Vec<u8>) -> usize {
        for (at, &byte) in piece.iter().enumerate() {
            let first = self.held.is_empty();
            let spaced = self.held.last().is_some_and(|b| matches!(b, b' ' | b'\t'));
            match byte {
                // RFC 5322 §2.2.3: a continuation line.
                b' ' | b'\t' if first && self.fields > 0 => {
                    self.state = State::Value;
                    return at;
                }
                b':' if !first => {
                    self.field();
                    out.append(&mut self.held);
                    self.state = State::Value;
                    return at;
                }
                b'\r' if first => self.held.push(byte),
                b'\n' if self.held == b"\r" => {
                    self.end(false, out);
                    out.push(byte);
                    return at + 1;
                }
                // RFC 5322 §4.5.3: white space may stand before the colon.
                b' ' | b'\t' if !first && self.held != b"\r" => self.held.push(byte),
                b'!'..=b'~' if !spaced && self.held != b"\r" && self.held.len() < MAX_NAME => {
                    self.held.push(byte);
                }
                // No field: the body begins without the empty line.
                _ => {
                    self.end(true, out);
                    return at;
                }
            }
        }
        piece.len()
    }

    fn value(&mut self, piece: &[u8], out: &mut Vec<u8>) -> usize {
        let end = memchr::memchr(b'\n', piece).map(|at| at + 1);
        let part = piece.get(..end.unwrap_or(piece.len())).unwrap_or(piece);
        out.extend_from_slice(part);
        if let Some((_, value)) = &mut self.value {
            let room = MAX_VALUE.saturating_sub(value.len());
            value.extend(part.iter().take(room));
        }
        if end.is_some() {
            self.state = State::Name;
            if let Some((field, value)) = self.value.take() {
                self.note(field, &value);
            }
        }
        part.len()
    }

    /// `held` is a field's name.
    fn field(&mut self) {
        self.fields = self.fields.saturating_add(1);
        let name = self.held.trim_ascii_end();
        if name.eq_ignore_ascii_case(b"Received") {
            self.hops = self.hops.saturating_add(1);
        } else if name.eq_ignore_ascii_case(b"Date") {
            self.has_date = true;
        } else if name.eq_ignore_ascii_case(b"Message-ID") {
            self.has_message_id = true;
        } else if name.eq_ignore_ascii_case(b"Delivered-To")
            && self.delivered_to.len() < MAX_DELIVERED_TO
        {
            self.value = Some((Noted::DeliveredTo, Vec::new()));
        } else if name.eq_ignore_ascii_case(b"TLS-Required") {
            self.value = Some((Noted::TlsRequired, Vec::new()));
        }
    }

    fn note(&mut self, field: Noted, value: &[u8]) {
        let value = std::str::from_utf8(value.strip_prefix(b":").unwrap_or(value));
        let Ok(value) = value.map(str::trim) else {
            return;
        };
        match field {
            Noted::DeliveredTo => self.delivered_to.push(value.to_lowercase().into()),
            // "No" is the only value that there is.
            Noted::TlsRequired => self.tls_optional |= value.eq_ignore_ascii_case("no"),
        }
    }

    /// The header ends here: adds what is missing, an empty line if `separate`
    /// (there was none) and it is needed, and what was held back.
    fn end(&mut self, separate: bool, out: &mut Vec<u8>) {
        self.state = State::Body;
        // A text without any header would go on the trace fields that are put
        // before it. A line of a mailbox file stands before a header, not a text.
        let is_mbox = [&b"From "[..], b">From "].contains(&&self.held[..]);
        let mut empty_line = separate && self.fields == 0 && !is_mbox;
        if let Some(missing) = self.missing.take() {
            // RFC 6409 §8.2, §8.3
            if !self.has_date {
                out.extend_from_slice(missing.date.as_bytes());
            }
            if !self.has_message_id {
                out.extend_from_slice(missing.message_id.as_bytes());
            }
            empty_line |= separate && !(self.has_date && self.has_message_id);
        }
        if empty_line {
            out.extend_from_slice(b"\r\n");
        }
        out.append(&mut self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Option<Missing> {
        Some(Missing {
            date: "Date: D\r\n".into(),
            message_id: "Message-ID: M\r\n".into(),
        })
    }

    /// Through a header in pieces of every size.
    fn pass(text: &str, add: bool) -> (String, Header) {
        let run = |step: usize| {
            let mut header = Header::new(if add { missing() } else { None });
            header.keep(30);
            let mut out = Vec::new();
            for piece in text.as_bytes().chunks(step) {
                header.push(piece, &mut out);
            }
            header.finish(&mut out);
            assert_eq!(header.start(), &out[..out.len().min(30)]);
            (String::from_utf8(out).unwrap(), header)
        };
        let whole = run(text.len().max(1));
        for step in 1..text.len().min(50) {
            let (out, header) = run(step);
            assert_eq!(out, whole.0, "step {step}");
            assert_eq!(header.hops, whole.1.hops);
            assert_eq!(header.delivered_to, whole.1.delivered_to);
        }
        whole
    }

    #[test]
    fn nothing_changes_where_nothing_is_added() {
        for text in [
            "Subject: x\r\n y\r\n\r\nbody\r\n",
            "A: 1\r\nno field\r\n",
            ">From ann Mon 12:30:00\r\nSubject: x\r\n\r\n",
            "\r\nbody",
            "",
            "From ann Mon 12:30:00\r\nSubject: x\r\n\r\n",
            "a:b",
        ] {
            assert_eq!(pass(text, false).0, text);
        }
    }

    #[test]
    fn a_text_without_a_header_becomes_the_body() {
        for text in ["hello there\r\n", "Subject\r\n", "Subject", " x\r\n"] {
            assert_eq!(pass(text, false).0, format!("\r\n{text}"));
        }
    }

    #[test]
    fn missing_fields_are_added_at_the_end_of_the_header() {
        for (text, expected) in [
            (
                "A: 1\r\n\r\nDate: no\r\n",
                "A: 1\r\nDate: D\r\nMessage-ID: M\r\n\r\nDate: no\r\n",
            ),
            ("dAte : 1\r\n\r\nb", "dAte : 1\r\nMessage-ID: M\r\n\r\nb"),
            (
                "message-id: 1\r\n\r\nb",
                "message-id: 1\r\nDate: D\r\n\r\nb",
            ),
            (
                "Date: 1\r\nMessage-ID: 2\r\n\r\nb",
                "Date: 1\r\nMessage-ID: 2\r\n\r\nb",
            ),
            ("A: 1\r\n", "A: 1\r\nDate: D\r\nMessage-ID: M\r\n"),
            ("\r\nb", "Date: D\r\nMessage-ID: M\r\n\r\nb"),
            (
                "hello you\r\n",
                "Date: D\r\nMessage-ID: M\r\n\r\nhello you\r\n",
            ),
            (
                "A: 1\r\nhello\r\n",
                "A: 1\r\nDate: D\r\nMessage-ID: M\r\n\r\nhello\r\n",
            ),
            (" x\r\n", "Date: D\r\nMessage-ID: M\r\n\r\n x\r\n"),
            (
                "A: 1\r\n Date: x\r\n\r\n",
                "A: 1\r\n Date: x\r\nDate: D\r\nMessage-ID: M\r\n\r\n",
            ),
            ("", "Date: D\r\nMessage-ID: M\r\n"),
        ] {
            assert_eq!(pass(text, true).0, expected);
        }
    }

    #[test]
    fn hops_and_deliveries_are_noted() {
        let text = "Received: a\r\n\tb\r\nreceived: c\r\nDelivered-To: Ann@Example.org\r\nX: Received: \r\n\r\nReceived: d\r\n";
        let (_, header) = pass(text, false);
        assert_eq!(header.hops(), 2);
        assert!(header.was_delivered_to("ann@example.org"));
        assert!(!header.was_delivered_to("bob@example.org"));
        assert!(!header.tls_optional());
    }

    #[test]
    fn a_sender_may_waive_tls() {
        for (text, waives) in [
            ("TLS-Required: No\r\n\r\n", true),
            ("tls-required:no\r\n\r\n", true),
            ("TLS-Required: Yes\r\n\r\n", false),
            ("TLS-Required: No, really\r\n\r\n", false),
            ("Subject: x\r\n\r\nTLS-Required: No\r\n", false),
        ] {
            assert_eq!(pass(text, false).1.tls_optional(), waives, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn bytes_are_added_but_never_lost(text in "[a:A \\r\\n\\t]{0,40}", step in 1usize..9) {
            for add in [false, true] {
                let mut header = Header::new(if add { missing() } else { None });
                let mut out = Vec::new();
                for piece in text.as_bytes().chunks(step) {
                    header.push(piece, &mut out);
                }
                header.finish(&mut out);
                let out = String::from_utf8(out).unwrap();
                let added = "Date: D\r\nMessage-ID: M\r\n";
                let separated = format!("{added}\r\n");
                let kept = [out.replacen(added, "", 1), out.replacen(&separated, "", 1)];
                let is_kept = kept.iter().any(|k| *k == text || k.strip_prefix("\r\n") == Some(&text));
                proptest::prop_assert!(is_kept, "{text:?} became {out:?}");
                proptest::prop_assert_eq!(out.contains(added), add);
            }
        }
    }

    #[test]
    fn a_huge_line_is_not_held() {
        let mut header = Header::new(None);
        let mut out = Vec::new();
        header.push(&vec![b'x'; 100_000], &mut out);
        assert_eq!(out.len(), 2 + 100_000);
        let mut header = Header::new(None);
        header.push(b"Delivered-To:", &mut out);
        header.push(&vec![b'x'; 100_000], &mut out);
        assert!(header.value.is_some_and(|(_, v)| v.len() <= MAX_VALUE));
    }
}
