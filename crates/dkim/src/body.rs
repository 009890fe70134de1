//! [`BodyHash`]: the hash of a body in relaxed canonicalization (RFC 6376
//! §3.4.4), fed in pieces of any size. Holds a few kilobytes, never a body.

use aws_lc_rs::digest::{Context, Digest, SHA256};

/// How much canonical text is gathered before it is hashed.
const BUFFER: usize = 8 * 1024;

/// The state between two pieces of a body.
pub(crate) struct BodyHash {
    hash: Context,
    buffer: Vec<u8>,
    /// Line ends that count only if anything but more of them follows.
    line_ends: u64,
    /// White space that counts only if the line goes on.
    space: bool,
    /// A carriage return that the piece ended with.
    carriage_return: bool,
    has_text: bool,
}

impl BodyHash {
    pub(crate) fn new() -> Self {
        Self {
            hash: Context::new(&SHA256),
            buffer: Vec::with_capacity(BUFFER),
            line_ends: 0,
            space: false,
            carriage_return: false,
            has_text: false,
        }
    }

    pub(crate) fn update(&mut self, mut piece: &[u8]) {
        while let Some(&first) = piece.first() {
            // A carriage return is the start of a line end, or else plain text.
            if std::mem::take(&mut self.carriage_return) && first != b'\n' {
                self.text(b"\r");
            }
            let mut length = 1;
            match first {
                // RFC 6376 §3.4.4: a line end in whatever form is CRLF, since the
                // relay sends no other (RFC 5321 §2.3.8).
                b'\n' => {
                    self.space = false;
                    self.line_ends += 1;
                }
                b'\r' => self.carriage_return = true,
                b' ' | b'\t' => self.space = true,
                _ => {
                    let special = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
                    length = piece.iter().position(special).unwrap_or(piece.len());
                    self.text(&piece[..length]);
                }
            }
            piece = &piece[length..];
        }
    }

    pub(crate) fn finish(mut self) -> Digest {
        if self.carriage_return {
            self.text(b"\r");
        }
        // Empty lines at the end are ignored, and a body without text is empty.
        if self.has_text {
            self.write(b"\r\n");
        }
        self.flush();
        self.hash.finish()
    }

    fn text(&mut self, text: &[u8]) {
        for _ in 0..std::mem::take(&mut self.line_ends) {
            self.write(b"\r\n");
        }
        if std::mem::take(&mut self.space) {
            self.write(b" ");
        }
        self.write(text);
        self.has_text = true;
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush();
        }
        if bytes.len() > BUFFER {
            self.hash.update(bytes);
        } else {
            self.buffer.extend_from_slice(bytes);
        }
    }

    fn flush(&mut self) {
        self.hash.update(&self.buffer);
        self.buffer.clear();
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::digest;
    use proptest::prelude::*;

    use super::*;

    fn hash<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut body = BodyHash::new();
        for piece in pieces {
            body.update(piece);
        }
        body.finish().as_ref().to_vec()
    }

    #[test]
    fn bodies_are_canonicalized() {
        let long = "x".repeat(3 * BUFFER);
        for (body, canonical) in [
            ("", ""),
            ("\r\n\r\n", ""),
            (" \t\r\n \r\n", ""),
            // The example of RFC 6376 §3.4.5.
            (" C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"),
            ("a", "a\r\n"),
            ("a\r\n \r\n\t\r\n", "a\r\n"),
            ("\r\n\r\na\r\n\r\nb", "\r\n\r\na\r\n\r\nb\r\n"),
            ("a\nb\r\n", "a\r\nb\r\n"),
            ("a\rb\r\r\n\r", "a\rb\r\r\n\r\r\n"),
            ("a \r b", "a \r b\r\n"),
            (&long, &format!("{long}\r\n")),
        ] {
            let want = digest(&SHA256, canonical.as_bytes());
            assert_eq!(hash([body.as_bytes()]), want.as_ref(), "{body:?}");
        }
    }

    #[test]
    fn a_flood_of_empty_lines_takes_no_memory() {
        let lines = b"\r\n".repeat(100_000);
        let mut canonical = lines.clone();
        canonical.extend_from_slice(b"a\r\n");
        let want = digest(&SHA256, &canonical);
        assert_eq!(hash([&lines[..], b"a", &lines]), want.as_ref());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            body in "[a \t\r\n]{0,40}",
            cuts in prop::collection::vec(0_usize..40, 0..6),
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|c| (*c).min(body.len())).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|w| &body.as_bytes()[w[0]..w[1]]);
            prop_assert_eq!(hash(pieces), hash([body.as_bytes()]));
        }
    }
}
