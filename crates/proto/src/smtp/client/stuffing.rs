//! The transparency of DATA (RFC 5321 §4.5.2) and the check of line ends on the
//! way out. Both hold no content.
//!
//! A bare LF or CR never goes out: to a server that takes it for a line end,
//! content such as LF "." LF would be the end of the message, and what follows
//! its next commands (SMTP smuggling). Nor is it mended, for a signature over
//! the message would break.

/// The content has a CR without LF, or an LF without CR (RFC 5321 §2.3.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message has a line that does not end with CRLF")]
pub struct BareLineEnd;

/// Watches the line ends of content that comes in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Lines {
    /// At the start of a line.
    #[default]
    Start,
    /// Within a line.
    Within,
    /// After a CR.
    Cr,
}

impl Lines {
    /// Looks at the next piece.
    pub fn check(&mut self, piece: &[u8]) -> Result<(), BareLineEnd> {
        let mut rest = piece;
        while let Some(&first) = rest.first() {
            match (*self, first) {
                (Self::Cr, b'\n') => (*self, rest) = (Self::Start, &rest[1..]),
                (Self::Cr, _) | (_, b'\n') => return Err(BareLineEnd),
                (_, b'\r') => (*self, rest) = (Self::Cr, &rest[1..]),
                _ => {
                    let run = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                    (*self, rest) = (Self::Within, &rest[run..]);
                }
            }
        }
        Ok(())
    }

    /// Whether content may end here: not after a CR alone.
    pub const fn finish(self) -> Result<(), BareLineEnd> {
        match self {
            Self::Cr => Err(BareLineEnd),
            Self::Start | Self::Within => Ok(()),
        }
    }
}

/// Writes the content of DATA.
#[derive(Clone, Debug, Default)]
pub struct Stuffing {
    lines: Lines,
}

impl Stuffing {
    /// Before the first line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `piece` to `out`, with a dot before each line that starts with
    /// one. After an error the message must not be finished.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        out.reserve(piece.len());
        for part in piece.split_inclusive(|b| *b == b'\n') {
            // RFC 5321 §4.5.2
            if self.lines == Lines::Start && part.first() == Some(&b'.') {
                out.push(b'.');
            }
            self.lines.check(part)?;
            out.extend_from_slice(part);
        }
        Ok(())
    }

    /// Ends the last line, if the content did not: the end of the message
    /// ([`Self::END`]) may follow.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), BareLineEnd> {
        self.lines.finish()?;
        if self.lines == Lines::Within {
            out.extend_from_slice(b"\r\n");
            self.lines = Lines::Start;
        }
        Ok(())
    }

    /// The end of the message, at the start of a line.
    pub const END: &'static [u8] = b".\r\n";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::smtp::{Content, Piece};

    fn stuff(text: &[u8], step: usize) -> Result<Vec<u8>, BareLineEnd> {
        let (mut stuffing, mut out) = (Stuffing::new(), Vec::new());
        for piece in text.chunks(step.max(1)) {
            stuffing.push(piece, &mut out)?;
        }
        stuffing.finish(&mut out)?;
        out.extend_from_slice(Stuffing::END);
        Ok(out)
    }

    /// What the server's side reads out of `wire`, and where it ends.
    fn read(wire: &[u8]) -> (Vec<u8>, Option<usize>) {
        let (mut content, mut text, mut taken) = (Content::data(1000), Vec::new(), 0);
        while taken < wire.len() {
            let (used, piece) = content.next(&wire[taken..]);
            taken += used;
            match piece {
                Piece::Text(piece) => text.extend_from_slice(piece),
                Piece::End => {
                    assert_eq!(content.violation(), None);
                    return (text, Some(taken));
                }
            }
        }
        (text, None)
    }

    #[test]
    fn dots_are_doubled_at_line_starts_alone() {
        for (text, wire) in [
            ("", ".\r\n"),
            (".", "..\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".a\r\n..\r\nb.\r\n", "..a\r\n...\r\nb.\r\n.\r\n"),
            ("\r\n.\r\n", "\r\n..\r\n.\r\n"),
        ] {
            for step in 1..=text.len().max(1) {
                assert_eq!(
                    stuff(text.as_bytes(), step).unwrap(),
                    wire.as_bytes(),
                    "{text:?}"
                );
            }
        }
    }

    #[test]
    fn bare_line_ends_are_refused() {
        for text in [
            "a\nb\r\n", "\n", "a\r", "a\rb\r\n", "a\r\r\n", "\r\n\n", "a\r\n.\n",
        ] {
            for step in 1..=text.len() {
                assert_eq!(stuff(text.as_bytes(), step), Err(BareLineEnd), "{text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_server_reads_what_was_written(
            lines in proptest::collection::vec("[.a\0é]{0,4}", 0..9),
            unended in "[.a]{0,3}",
            step in 1usize..20,
        ) {
            let mut text: String = lines.iter().map(|l| format!("{l}\r\n")).collect();
            text.push_str(&unended);
            let text = text.replace('\0', "");
            let wire = stuff(text.as_bytes(), step).unwrap();
            let end = if unended.is_empty() { "" } else { "\r\n" };
            let (read, ended) = read(&wire);
            prop_assert_eq!(read, format!("{text}{end}").into_bytes());
            prop_assert_eq!(ended, Some(wire.len()));
        }

        #[test]
        fn no_content_ends_early(text in "[.\r\na]{0,30}", step in 1usize..9) {
            if let Ok(wire) = stuff(text.as_bytes(), step) {
                prop_assert_eq!(read(&wire).1, Some(wire.len()));
            }
        }
    }
}
