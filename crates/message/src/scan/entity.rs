//! Opening and closing of entities, and what the end of a header decides.

use bytes::Bytes;

use super::top::Held;
use super::{MAX_BOUNDARY_LINE, MAX_DEPTH, MAX_PARTS, Open, State, Summarizer};
use crate::transfer::TransferEncoding;
use crate::{Disposition, Envelope, Param, Part, mime};

impl Summarizer {
    /// Begins an entity at the current offset.
    pub(super) fn open_entity(&mut self, is_message: bool) {
        self.parts += 1;
        self.state = State::Header;
        self.open.push(Open {
            part: Part {
                header_start: self.offset,
                ..Part::default()
            },
            line_feeds_before: 0,
            boundary: None,
            is_digest: false,
            is_message,
        });
    }

    /// Ends headers until a body is reached: where the message or a part ends
    /// within a header.
    pub(super) fn end_headers(&mut self) {
        while self.state == State::Header {
            self.end_header();
        }
    }

    /// Ends the header of the innermost entity at the current offset.
    pub(super) fn end_header(&mut self) {
        let block = std::mem::take(&mut self.header);
        let held = match self.long.take() {
            None => Held::Complete,
            Some(long) if long.is_cut => Held::Cut,
            Some(_) => Held::Wanted,
        };
        self.state = State::Body;
        let depth = self.open.len();
        let Some((this, outer)) = self.open.split_last_mut() else {
            return;
        };
        let parent = outer.last_mut();
        let in_digest = !this.is_message && parent.as_ref().is_some_and(|p| p.is_digest);
        let default = if in_digest {
            ("message", "rfc822")
        } else {
            ("text", "plain")
        };
        mime::read_entity(&block, default, &mut this.part);
        this.part.body_start = self.offset;
        this.line_feeds_before = self.line_feeds;
        spend(&mut self.budget, &mut this.part);
        if this.is_message {
            match parent {
                Some(parent) => {
                    parent.part.envelope = Some(Envelope::read(&block, &mut self.budget));
                }
                None => super::top::fill(&mut self.summary, &block, held, self.offset),
            }
        }
        if this.part.is_multipart() {
            match boundary(&this.part).filter(|_| depth < MAX_DEPTH) {
                Some(boundary) => {
                    this.boundary = Some(boundary);
                    this.is_digest = this.part.subtype.eq_ignore_ascii_case(b"digest");
                    self.active += 1;
                }
                None if depth < MAX_DEPTH => mime::set_type(&mut this.part, "text", "plain"),
                None => mime::set_type(&mut this.part, "application", "octet-stream"),
            }
        } else if this.part.is("message", "rfc822") || this.part.is("message", "global") {
            let encoding = TransferEncoding::parse(this.part.encoding.as_deref());
            if encoding == TransferEncoding::Identity && depth < MAX_DEPTH && self.parts < MAX_PARTS
            {
                self.open_entity(true);
            } else {
                mime::set_type(&mut this.part, "application", "octet-stream");
            }
        }
        // One header buffer serves all parts.
        if self.header.is_empty() {
            self.header = block;
            self.header.clear();
            self.header.shrink_to(super::MAX_PART_HEADER);
        }
    }

    /// Ends the innermost entity at `end` and hands it to its parent; the message
    /// itself is returned.
    pub(super) fn close(&mut self, end: u64) -> Option<Part> {
        if self.state == State::Header {
            self.end_headers();
        }
        let Open {
            mut part,
            line_feeds_before,
            boundary,
            ..
        } = self.open.pop()?;
        self.active -= usize::from(boundary.is_some());
        // A part without a body reaches up to the delimiter itself, and its
        // parents with it.
        let inner_end = part.parts.last().map_or(part.body_start, |p| p.body_end);
        part.body_end = end.max(inner_end);
        part.lines = self.lines_since(line_feeds_before, part.body_start, part.body_end);
        if part.is_multipart() && part.parts.is_empty() {
            let mut empty = Part {
                header_start: part.body_end,
                body_start: part.body_end,
                body_end: part.body_end,
                ..Part::default()
            };
            mime::set_type(&mut empty, "text", "plain");
            part.parts.push(empty);
        }
        match self.open.last_mut() {
            Some(parent) => {
                parent.part.parts.push(part);
                None
            }
            None => Some(part),
        }
    }

    /// Lines between `start` and `end`, which is the current offset or before the
    /// line end in front of it.
    fn lines_since(&self, line_feeds_before: u64, start: u64, end: u64) -> u64 {
        if end <= start {
            return 0;
        }
        let stripped = self.offset - end;
        let last = match stripped {
            0 => self.recent[2],
            1 => self.recent[1],
            _ => self.recent[0],
        };
        let line_feeds = self.line_feeds - line_feeds_before - u64::from(stripped > 0);
        line_feeds + u64::from(last != b'\n')
    }
}

/// The boundary of a multipart, if it has a usable one.
fn boundary(part: &Part) -> Option<Box<[u8]>> {
    let boundary = part.param("boundary")?.trim_ascii_end();
    let fits = !boundary.is_empty() && boundary.len() <= MAX_BOUNDARY_LINE / 2;
    fits.then(|| boundary.into())
}

/// Takes the text of `part` off the budget; a part that exceeds it keeps its type
/// and what steers the scan alone.
fn spend(budget: &mut usize, part: &mut Part) {
    let optional = |b: &Option<Bytes>| b.as_ref().map_or(0, Bytes::len);
    let params = |p: &[Param]| {
        p.iter()
            .map(|p| p.name.len() + p.value.len() + 8)
            .sum::<usize>()
    };
    let disposition = |d: &Disposition| d.kind.len() + params(&d.params);
    let cost = part.media_type.len()
        + part.subtype.len()
        + params(&part.params)
        + optional(&part.id)
        + optional(&part.description)
        + optional(&part.encoding)
        + optional(&part.md5)
        + optional(&part.location)
        + part.disposition.as_ref().map_or(0, disposition)
        + part.language.iter().map(|l| l.len() + 4).sum::<usize>();
    if let Some(left) = budget.checked_sub(cost) {
        *budget = left;
        return;
    }
    part.params = boundary(part)
        .map(|b| Param {
            name: Bytes::from_static(b"boundary"),
            value: b.into_vec().into(),
        })
        .into_iter()
        .filter(|_| part.is_multipart())
        .collect();
    part.id = None;
    part.description = None;
    part.encoding = part.encoding.take().filter(|e| e.len() < 32);
    part.md5 = None;
    part.location = None;
    part.disposition = None;
    part.language.clear();
}
