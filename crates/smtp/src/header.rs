//! The message's header on its way in: counts hops, notes where the message was
//! delivered before, by which lists it came, of which domains its authors are, whether
//! a machine answers with it and whether its sender waives TLS, and adds Date and
//! Message-ID where a submitted message lacks them. Holds back less than one line, and
//! of a few fields the value; the body it never sees.

use postrider_types::DomainName;

/// The most bytes of a line that may pass for a field name. RFC 5322 §2.1.1
/// allows 998, but nobody names a field so.
const MAX_NAME: usize = 256;
/// The most bytes of a value that are looked at.
const MAX_VALUE: usize = 400;
/// The most Delivered-To fields that are remembered.
const MAX_DELIVERED_TO: usize = 100;
/// Bytes of a From field that are kept.
const MAX_FROM: usize = 16 << 10;
/// The most authors that are remembered.
const MAX_AUTHORS: usize = 1000;
/// The most List-Id fields that are remembered.
const MAX_LIST_IDS: usize = 100;

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
    /// RFC 2919
    ListId,
    /// RFC 3834 §5
    AutoSubmitted,
    /// RFC 5322 §3.6.2
    From,
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
    list_ids: Vec<Box<str>>,
    automatic_reply: bool,
    authors: Vec<DomainName>,
    /// There are more of them, or longer fields, than are looked at.
    more_authors: bool,
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
            list_ids: Vec::new(),
            automatic_reply: false,
            authors: Vec::new(),
            more_authors: false,
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

    /// Whether it came by the list of this id (in lower case).
    pub(crate) fn came_by_list(&self, id: &str) -> bool {
        self.list_ids.iter().any(|seen| &**seen == id)
    }

    /// Whether a machine answers with it (RFC 3834 §5).
    pub(crate) fn is_automatic_reply(&self) -> bool {
        self.automatic_reply
    }

    /// Whether an author is, or may be, of `domain`, of one above or of one below it:
    /// what others take as the same (RFC 7489 §3.1.1).
    pub(crate) fn is_from(&self, domain: &DomainName) -> bool {
        let below = |one: &DomainName, other: &DomainName| {
            let rest = one.as_str().strip_suffix(other.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let mut authors = self.authors.iter();
        self.more_authors || authors.any(|author| below(author, domain) || below(domain, author))
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
        if let Some((noted, value)) = &mut self.value {
            let most = match noted {
                Noted::From => MAX_FROM,
                _ => MAX_VALUE,
            };
            value.extend(part.iter().take(most.saturating_sub(value.len())));
        }
        if end.is_some() {
            // The value ends where the next field begins: a line may continue it.
            self.state = State::Name;
        }
        part.len()
    }

    /// `held` is a field's name.
    fn field(&mut self) {
        self.note_value();
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
        } else if name.eq_ignore_ascii_case(b"List-Id") && self.list_ids.len() < MAX_LIST_IDS {
            self.value = Some((Noted::ListId, Vec::new()));
        } else if name.eq_ignore_ascii_case(b"From") {
            self.value = Some((Noted::From, Vec::new()));
        } else if name.eq_ignore_ascii_case(b"Auto-Submitted") {
            self.value = Some((Noted::AutoSubmitted, Vec::new()));
        }
    }

    /// Looks at the value that has come to its end, if it is one to look at.
    fn note_value(&mut self) {
        let Some((field, value)) = self.value.take() else {
            return;
        };
        let is_whole = value.len() < MAX_FROM;
        // A byte that is no text hides nothing of the rest.
        let value = String::from_utf8_lossy(value.strip_prefix(b":").unwrap_or(&value));
        let value = value.trim();
        match field {
            Noted::From => self.note_authors(value, is_whole),
            Noted::DeliveredTo => self.delivered_to.push(value.to_lowercase().into()),
            // "No" is the only value that there is.
            Noted::TlsRequired => self.tls_optional |= value.eq_ignore_ascii_case("no"),
            // RFC 2919 §3: the id stands in angle brackets, behind a phrase perhaps.
            Noted::ListId => {
                let id = value.rsplit_once('<').map_or(value, |(_, id)| id);
                let id = id.split_once('>').map_or(id, |(id, _)| id);
                self.list_ids.push(id.trim().to_lowercase().into());
            }
            // RFC 3834 §5: a comment or parameters may follow.
            Noted::AutoSubmitted => {
                let end = |c: char| c == ';' || c == '(' || c.is_whitespace();
                let word = value.split(end).next().unwrap_or_default();
                self.automatic_reply |= word.eq_ignore_ascii_case("auto-replied");
            }
        }
    }

    /// Notes the authors of a From field, whatever else is in it.
    fn note_authors(&mut self, value: &str, is_whole: bool) {
        // What one program takes as a comment is an address to another.
        let mut found = domains(value);
        found.extend(domains(&without_comments(value)));
        let room = MAX_AUTHORS - self.authors.len();
        self.more_authors |= !is_whole || found.len() > room;
        self.authors.extend(found.into_iter().take(room));
    }

    /// The header ends here: adds what is missing, an empty line if `separate`
    /// (there was none) and it is needed, and what was held back.
    fn end(&mut self, separate: bool, out: &mut Vec<u8>) {
        self.note_value();
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

/// The domains of all that may be addresses in a value.
fn domains(value: &str) -> Vec<DomainName> {
    let plain: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    let end = |c: char| !(c.is_alphanumeric() || c == '.' || c == '-');
    let names = plain.split('@').skip(1);
    let names = names.filter_map(|rest| rest.split(end).next());
    names
        .filter_map(|name| DomainName::parse(name).ok())
        .collect()
}

/// A value without its comments (RFC 5322 §3.2.2), which quoted strings have none of.
fn without_comments(value: &str) -> String {
    let (mut depth, mut quoted) = (0u32, false);
    let mut plain = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => {
                rest.next();
            }
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if depth > 0 => depth -= 1,
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests;
