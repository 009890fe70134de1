//! The content of a message on its way in: undoes the transparency of DATA
//! (RFC 5321 §4.5.2), finds its end, and refuses line ends other than CRLF in
//! DATA and BDAT alike. Holds no content: its pieces are slices of its input.
//!
//! Only CRLF "." CRLF ends DATA. Servers that let a bare LF or CR pass for a
//! line end read one message where others read two, and take commands out of
//! content (SMTP smuggling); here such content is refused as a whole, and read
//! on to its true end.

/// Why content is refused. It is still read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// LF without a CR before it (RFC 5321 §2.3.8).
    BareLf,
    /// CR without an LF after it.
    BareCr,
    /// A line longer than the limit.
    LongLine,
    /// A NUL (RFC 5322 §3.5), which no IMAP literal may hold (RFC 3501 §9).
    Nul,
}

/// What [`Content::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Content, possibly empty.
    Text(&'a [u8]),
    /// The end of DATA.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the start of a line.
    Start,
    /// After a dot that stood at the start of a line and was taken off.
    Dot,
    /// After that dot and a CR.
    DotCr,
    /// Within a line.
    Line,
    /// Within a line, after a CR.
    Cr,
}

/// Reads the content of one message, piece by piece.
#[derive(Clone, Debug)]
pub struct Content {
    state: State,
    stuffed: bool,
    line: usize,
    max_line: usize,
    violation: Option<Violation>,
}

impl Content {
    /// The content after DATA's 354; lines of more than `max_line` bytes
    /// without CRLF are a violation.
    pub const fn data(max_line: usize) -> Self {
        Self {
            state: State::Start,
            stuffed: true,
            line: 0,
            max_line,
            violation: None,
        }
    }

    /// The content of all BDAT chunks of one message, which have no
    /// transparency and no end mark (RFC 3030 §2).
    pub const fn bdat(max_line: usize) -> Self {
        Self {
            state: State::Start,
            stuffed: false,
            line: 0,
            max_line,
            violation: None,
        }
    }

    /// The first violation so far.
    pub const fn violation(&self) -> Option<Violation> {
        self.violation
    }

    /// Ends BDAT's content: whether its last line lacks a CRLF.
    pub fn finish(&mut self) -> bool {
        if self.state == State::Cr {
            self.note(Violation::BareCr);
        }
        self.state != State::Start
    }

    /// Takes bytes off the front of `input`, which is not empty: how many, and
    /// what they were. After [`Piece::End`] the rest of the input is no content.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> (usize, Piece<'a>) {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.state {
                State::Start if byte == b'.' && self.stuffed => {
                    // RFC 5321 §4.5.2: the dot is taken off; the text before it goes out first.
                    if at > 0 {
                        return (at, Piece::Text(&input[..at]));
                    }
                    self.state = State::Dot;
                    if input.len() == 1 {
                        return (1, Piece::Text(&[]));
                    }
                    return self.after_dot(input, 1);
                }
                State::Start | State::Line => at = self.line(input, at),
                State::Cr => {
                    if byte == b'\n' {
                        self.state = State::Start;
                        self.line = 0;
                        at += 1;
                    } else {
                        self.note(Violation::BareCr);
                        self.state = State::Line;
                    }
                }
                // Only at the front of the input: both are left before text is taken.
                State::Dot => return self.after_dot(input, 0),
                State::DotCr => return self.after_dot_cr(input, 0),
            }
        }
        (at, Piece::Text(&input[..at]))
    }

    /// Within a line: runs to the next CR, LF or NUL or to the end of the input.
    fn line(&mut self, input: &[u8], from: usize) -> usize {
        let rest = &input[from..];
        self.state = State::Line;
        let run = memchr::memchr3(b'\r', b'\n', 0, rest);
        self.line = self.line.saturating_add(run.unwrap_or(rest.len()));
        if self.line > self.max_line {
            self.note(Violation::LongLine);
        }
        match run {
            None => input.len(),
            Some(end) => {
                match rest[end] {
                    b'\r' => self.state = State::Cr,
                    b'\n' => self.note(Violation::BareLf),
                    _ => self.note(Violation::Nul),
                }
                from + end + 1
            }
        }
    }

    /// `input[at]` follows the dot that was taken off.
    fn after_dot<'a>(&mut self, input: &'a [u8], at: usize) -> (usize, Piece<'a>) {
        if input[at] != b'\r' {
            self.state = State::Line;
            return (at, Piece::Text(&[]));
        }
        self.state = State::DotCr;
        if at + 1 == input.len() {
            return (at + 1, Piece::Text(&[]));
        }
        self.after_dot_cr(input, at + 1)
    }

    /// `input[at]` follows the dot and a CR.
    fn after_dot_cr<'a>(&mut self, input: &'a [u8], at: usize) -> (usize, Piece<'a>) {
        if input[at] == b'\n' {
            self.state = State::Start;
            return (at + 1, Piece::End);
        }
        self.note(Violation::BareCr);
        self.state = State::Line;
        (at, Piece::Text(&[]))
    }

    fn note(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;
