//! Messages as multi-line responses (RFC 1939 §3), in chunks of any size.

use memchr::memchr_iter;

/// Writes a message with its lines dot-stuffed. A bare LF becomes CRLF: what a
/// client takes for the end of a line must not hide an unstuffed dot.
#[derive(Clone, Debug)]
pub struct Stuffer {
    at_line_start: bool,
    /// The last byte was a CR.
    after_cr: bool,
}

impl Default for Stuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl Stuffer {
    /// A stuffer at the start of a message.
    pub fn new() -> Self {
        Self {
            at_line_start: true,
            after_cr: false,
        }
    }

    /// Appends the next bytes of the message to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let Some(&last) = chunk.last() else {
            return;
        };
        out.reserve(chunk.len() + chunk.len() / 32 + 8);
        if self.at_line_start && chunk.first() == Some(&b'.') {
            out.push(b'.');
        }
        let mut copied = 0;
        for at in memchr_iter(b'\n', chunk) {
            let after_cr = if at == 0 {
                self.after_cr
            } else {
                chunk[at - 1] == b'\r'
            };
            if !after_cr {
                out.extend_from_slice(&chunk[copied..at]);
                out.push(b'\r');
                copied = at;
            }
            if chunk.get(at + 1) == Some(&b'.') {
                out.extend_from_slice(&chunk[copied..=at]);
                out.push(b'.');
                copied = at + 1;
            }
        }
        out.extend_from_slice(&chunk[copied..]);
        self.at_line_start = last == b'\n';
        self.after_cr = last == b'\r';
    }

    /// Ends the message's last line if need be, and the response.
    pub fn finish(self, out: &mut Vec<u8>) {
        if !self.at_line_start {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

/// Tells how much of a message TOP shows: the header, the empty line, and so
/// many lines of the body (RFC 1939 §7).
#[derive(Clone, Debug)]
pub struct TopLines {
    /// Lines of the body still to come.
    lines: u32,
    in_body: bool,
    /// The current line has nothing but perhaps a CR so far.
    empty: bool,
    done: bool,
}

impl TopLines {
    /// For TOP with `lines` lines of the body.
    pub fn new(lines: u32) -> Self {
        Self {
            lines,
            in_body: false,
            empty: true,
            done: false,
        }
    }

    /// How many of the next bytes of the message belong to what is shown.
    pub fn take(&mut self, chunk: &[u8]) -> usize {
        if self.done {
            return 0;
        }
        let mut start = 0;
        for at in memchr_iter(b'\n', chunk) {
            if self.in_body {
                self.lines -= 1;
            } else {
                let line = &chunk[start..at];
                self.in_body = self.empty && matches!(line, b"" | b"\r");
            }
            self.empty = true;
            start = at + 1;
            if self.in_body && self.lines == 0 {
                self.done = true;
                return start;
            }
        }
        // A cut line stays empty only while it has nothing or one CR; two CRs
        // in two chunks are no line end, and no message that matters has them.
        self.empty &= matches!(chunk[start..], [] | [b'\r']);
        chunk.len()
    }

    /// Whether nothing more of the message is shown.
    pub fn is_done(&self) -> bool {
        self.done
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stuffed(chunks: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut stuffer = Stuffer::new();
        for chunk in chunks {
            stuffer.push(chunk, &mut out);
        }
        stuffer.finish(&mut out);
        out
    }

    fn top(message: &str, lines: u32) -> &str {
        &message[..TopLines::new(lines).take(message.as_bytes())]
    }

    #[test]
    fn dots_are_stuffed_and_lines_ended() {
        for (message, want) in [
            ("", ".\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            (".\r\n.a\r\na.\r\n", "..\r\n..a\r\na.\r\n.\r\n"),
            ("a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\n\r\n.", "a\r\n\r\n..\r\n.\r\n"),
            ("\n.", "\r\n..\r\n.\r\n"),
            ("a\r.b", "a\r.b\r\n.\r\n"),
        ] {
            assert_eq!(
                String::from_utf8(stuffed(&[message.as_bytes()])).unwrap(),
                want
            );
        }
    }

    #[test]
    fn top_shows_the_header_and_some_lines() {
        let message = "A: b\r\nC: d\r\n\r\n1\r\n\r\n3\r\n";
        assert_eq!(top(message, 0), "A: b\r\nC: d\r\n\r\n");
        assert_eq!(top(message, 2), "A: b\r\nC: d\r\n\r\n1\r\n\r\n");
        assert_eq!(top(message, 3), message);
        assert_eq!(top(message, u32::MAX), message);
        assert_eq!(top("A: b", 0), "A: b");
        assert_eq!(top("\n1\n2", 1), "\n1\n");
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(message in "[a.\r\n]{0,40}", cut in 0_usize..40, lines in 0_u32..4) {
            let message = message.as_bytes();
            let (a, b) = message.split_at(cut.min(message.len()));
            prop_assert_eq!(stuffed(&[a, b]), stuffed(&[message]));
            if !message.windows(2).any(|w| w == b"\r\r") {
                let mut whole = TopLines::new(lines);
                let mut parts = TopLines::new(lines);
                prop_assert_eq!(parts.take(a) + parts.take(b), whole.take(message));
                prop_assert_eq!(parts.is_done(), whole.is_done());
            }
        }

        #[test]
        fn what_is_stuffed_is_read_back(message in "[a.\r\n]{0,40}") {
            let out = stuffed(&[message.as_bytes()]);
            let text = String::from_utf8(out).unwrap();
            // As a strict client reads it.
            let end = if text == ".\r\n" { 0 } else { text.find("\r\n.\r\n").unwrap() + 2 };
            prop_assert_eq!(end + 3, text.len());
            let read: String = text[..end]
                .split_inclusive("\r\n")
                .map(|line| line.strip_prefix('.').unwrap_or(line))
                .collect();
            let mut want = message.replace("\r\n", "\n").replace('\n', "\r\n");
            if !want.is_empty() && !want.ends_with("\r\n") {
                want.push_str("\r\n");
            }
            prop_assert_eq!(read, want);
        }
    }
}
