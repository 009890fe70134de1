//! Boundaries of multiparts (RFC 2046 §5.1.1): recognising a delimiter line and
//! what it ends and begins.

use super::{MAX_BOUNDARY_LINE, MAX_PARTS, State, Summarizer};

/// A delimiter line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// Whose boundary: an index into `open`.
    owner: usize,
    /// It closes the multipart.
    is_closing: bool,
}

impl Summarizer {
    /// Whether `line`, a whole line or the message's unfinished last one, is a
    /// delimiter. A delimiter that would open one part too many is none.
    pub(super) fn boundary_in(&self, line: &[u8]) -> Option<Hit> {
        if self.active == 0 || line.len() > MAX_BOUNDARY_LINE {
            return None;
        }
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        let hit = self.exact(text).or_else(|| self.prefix(text))?;
        (hit.is_closing || self.parts < MAX_PARTS).then_some(hit)
    }

    fn boundaries(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let boundary = |o: &'_ super::Open| o.boundary.is_some();
        self.open
            .iter()
            .enumerate()
            .rev()
            .filter(move |(_, o)| boundary(o))
            .map(|(owner, o)| (owner, o.boundary.as_deref().unwrap_or_default()))
    }

    fn exact(&self, text: &[u8]) -> Option<Hit> {
        self.boundaries().find_map(|(owner, boundary)| {
            let rest = text.strip_prefix(boundary)?;
            matches!(rest, b"" | b"--").then_some(Hit {
                owner,
                is_closing: !rest.is_empty(),
            })
        })
    }

    /// RFC 2046 §5.1.1: it suffices that the line begins with the boundary.
    fn prefix(&self, text: &[u8]) -> Option<Hit> {
        self.boundaries()
            .filter(|(_, boundary)| text.starts_with(boundary))
            .max_by_key(|(_, boundary)| boundary.len())
            .map(|(owner, boundary)| Hit {
                owner,
                is_closing: text[boundary.len()..].starts_with(b"--"),
            })
    }

    /// Acts on the delimiter `line` and consumes it.
    pub(super) fn delimiter(&mut self, hit: Hit, line: &[u8]) {
        // The line end before the delimiter belongs to it.
        let line_end = match self.recent {
            [_, b'\r', b'\n'] => 2,
            [_, _, b'\n'] => 1,
            _ => 0,
        };
        let end = self.offset.saturating_sub(line_end);
        while self.open.len() > hit.owner + 1 {
            self.close(end);
        }
        self.consume(line);
        if hit.is_closing {
            if self.open[hit.owner].boundary.take().is_some() {
                self.active -= 1;
            }
            self.state = State::Body;
        } else {
            self.open_entity(false);
        }
    }
}
