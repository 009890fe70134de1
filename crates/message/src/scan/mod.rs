//! [`Summarizer`]: reads a message once, in chunks of any size, and tells its
//! [`Summary`]. It holds the header that is being read, the start of a line that
//! could be a boundary, and the parts found so far, all bounded; never a body.

mod boundary;
mod entity;
mod long;
mod top;

use memchr::{memchr, memmem};

use crate::{Part, Summary};

/// The most parts that are told apart; the last one takes the rest of the message.
pub const MAX_PARTS: usize = 1_000;
/// The deepest nesting that is looked into; what lies deeper is one opaque part.
pub const MAX_DEPTH: usize = 50;
/// The most bytes of the message's header that are held; of a longer one only the
/// fields that the summary is made from, the longest of them cut.
pub const MAX_HEADER: usize = 256 * 1024;
/// The same for a part's header.
pub const MAX_PART_HEADER: usize = 64 * 1024;
/// The longest line that can be a boundary. RFC 2046 §5.1.1 allows 74 bytes.
const MAX_BOUNDARY_LINE: usize = 1024;
/// The most bytes of text in the structure: parameters, nested envelopes, ...
const MAX_STRUCTURE: usize = 256 * 1024;

/// Where in an entity the scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Body,
}

/// An entity whose end has not been seen.
struct Open {
    part: Part,
    /// Line feeds before its body.
    line_feeds_before: u64,
    /// A multipart's boundary, until its closing delimiter.
    boundary: Option<Box<[u8]>>,
    /// Parts without a type are messages (RFC 2046 §5.1.5).
    is_digest: bool,
    /// The message itself or the message in a `message/rfc822`.
    is_message: bool,
}

/// Builds a [`Summary`] from the bytes of a message.
pub struct Summarizer {
    /// Bytes consumed.
    offset: u64,
    /// Line feeds consumed.
    line_feeds: u64,
    /// The last three bytes consumed.
    recent: [u8; 3],
    /// The last byte consumed ended no line.
    mid_line: bool,
    /// The start of a line, not consumed: the chunk ended before it could be judged.
    held: Vec<u8>,
    state: State,
    /// The header being read, or what is held of it once it proved to be long.
    header: Vec<u8>,
    long: Option<long::LongHeader>,
    /// From the message inwards. Never empty before `finish`.
    open: Vec<Open>,
    /// Boundaries in `open`.
    active: usize,
    /// Parts so far.
    parts: usize,
    /// Bytes of text that the structure may still take.
    budget: usize,
    dashes: memmem::Finder<'static>,
    /// Filled at the end of the message's header.
    summary: Summary,
}

impl Default for Summarizer {
    fn default() -> Self {
        Self::new()
    }
}

impl Summarizer {
    /// A summarizer at the start of a message.
    pub fn new() -> Self {
        let mut new = Self {
            offset: 0,
            line_feeds: 0,
            recent: [0; 3],
            mid_line: false,
            held: Vec::new(),
            state: State::Header,
            header: Vec::new(),
            long: None,
            open: Vec::new(),
            active: 0,
            parts: 0,
            budget: MAX_STRUCTURE,
            dashes: memmem::Finder::new(b"\n--"),
            summary: Summary::default(),
        };
        new.open_entity(true);
        new
    }

    /// Bytes pushed so far.
    pub fn size(&self) -> u64 {
        self.offset + self.held.len() as u64
    }

    /// Reads the next bytes of the message. How it is cut into chunks makes no
    /// difference.
    pub fn push(&mut self, mut chunk: &[u8]) {
        if !self.held.is_empty() {
            let line_end = memchr(b'\n', chunk).map_or(chunk.len(), |at| at + 1);
            let take = line_end.min(MAX_BOUNDARY_LINE + 1 - self.held.len());
            self.held.extend_from_slice(&chunk[..take]);
            chunk = &chunk[take..];
            if self.held.last() != Some(&b'\n') && self.held.len() <= MAX_BOUNDARY_LINE {
                return;
            }
            let mut line = std::mem::take(&mut self.held);
            self.scan(&line);
            line.clear();
            self.held = line;
        }
        self.scan(chunk);
    }

    /// The summary, after the last byte.
    pub fn finish(mut self) -> Summary {
        let last = std::mem::take(&mut self.held);
        if self.boundary_in(&last).is_some() {
            self.end_headers();
        }
        match self.boundary_in(&last) {
            Some(hit) => self.delimiter(hit, &last),
            None => {
                if self.state == State::Header {
                    self.keep_header(&last);
                }
                self.consume(&last);
            }
        }
        self.end_headers();
        let end = self.offset;
        let mut root = Part::default();
        while !self.open.is_empty() {
            if let Some(part) = self.close(end) {
                root = part;
            }
        }
        self.summary.size = self.offset;
        self.summary.lines =
            self.line_feeds + u64::from(self.offset > 0 && self.recent[2] != b'\n');
        self.summary.encoded_structure = prost::Message::encode_to_vec(&root).into();
        self.summary
    }

    fn scan(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let used = match self.state {
                State::Header => self.scan_header(data),
                State::Body if self.active == 0 => {
                    self.consume(data);
                    Some(data.len())
                }
                State::Body => self.scan_body(data),
            };
            match used {
                Some(used) => data = &data[used..],
                None => {
                    self.held.extend_from_slice(data);
                    return;
                }
            }
        }
    }

    /// Reads one header line, or as much of it as there is. Some(0) where the
    /// header ended before this line; None to wait for more.
    fn scan_header(&mut self, data: &[u8]) -> Option<usize> {
        let line_feed = memchr(b'\n', data);
        let line = &data[..line_feed.map_or(data.len(), |at| at + 1)];
        if !self.mid_line {
            if line_feed.is_none() && data.len() <= MAX_BOUNDARY_LINE {
                return None;
            }
            if self.boundary_in(line).is_some() {
                self.end_header();
                return Some(0);
            }
        }
        let is_last = !self.mid_line && matches!(line, b"\n" | b"\r\n");
        self.keep_header(line);
        self.consume(line);
        if is_last {
            self.end_header();
        }
        Some(line.len())
    }

    /// Reads up to the next line that could be a boundary. None to wait for more.
    fn scan_body(&mut self, data: &[u8]) -> Option<usize> {
        let mut from = 0;
        if !self.mid_line {
            if data == b"-" {
                return None;
            }
            if data.starts_with(b"--") {
                let window = &data[..data.len().min(MAX_BOUNDARY_LINE)];
                match memchr(b'\n', window) {
                    Some(at) => {
                        if let Some(hit) = self.boundary_in(&data[..=at]) {
                            self.delimiter(hit, &data[..=at]);
                            return Some(at + 1);
                        }
                        from = at;
                    }
                    None if data.len() <= MAX_BOUNDARY_LINE => return None,
                    None => from = MAX_BOUNDARY_LINE,
                }
            }
        }
        let end = match self.dashes.find(&data[from..]) {
            Some(at) => from + at + 1,
            None if data.ends_with(b"\n-") => data.len() - 1,
            None => data.len(),
        };
        self.consume(&data[..end]);
        Some(end)
    }

    fn keep_header(&mut self, line: &[u8]) {
        let max = if self.open.len() == 1 {
            MAX_HEADER
        } else {
            MAX_PART_HEADER
        };
        if self.long.is_none() && self.header.len() + line.len() <= max {
            self.header.extend_from_slice(line);
            return;
        }
        let long = self
            .long
            .get_or_insert_with(|| long::LongHeader::begin(&mut self.header, max));
        long.push(line, self.mid_line, &mut self.header);
    }

    fn consume(&mut self, bytes: &[u8]) {
        let Some(&last) = bytes.last() else {
            return;
        };
        self.offset += bytes.len() as u64;
        self.line_feeds += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.mid_line = last != b'\n';
        let [_, b, c] = self.recent;
        self.recent = match *bytes {
            [.., x, y, z] => [x, y, z],
            [y, z] => [c, y, z],
            _ => [b, c, last],
        };
    }
}

#[cfg(test)]
mod tests;
