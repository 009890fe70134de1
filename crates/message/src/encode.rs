//! Content-Transfer-Encoding (RFC 2045 §6): encoding of a part in chunks of any
//! size, for notices and for peers that take 7-bit mail alone.

use crate::transfer::TransferEncoding;

/// The longest line of encoded text without its end (RFC 2045 §6.7 rule 5, §6.8).
const MAX_LINE: usize = 76;
/// So many bytes make a line of base64.
const BASE64_LINE: usize = MAX_LINE / 4 * 3;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Encodes a body chunk by chunk.
///
/// Quoted-printable is made of text: CRLF and a line feed alone stay the line ends
/// that they are, everything else that is not printable ASCII is escaped. No line
/// begins with `-`, so that none can be taken for a boundary.
#[derive(Clone, Debug)]
pub struct Encoder {
    encoding: TransferEncoding,
    /// Base64: bytes that make no whole line. Quoted-printable: white space or a
    /// carriage return whose meaning the next byte tells.
    held: Vec<u8>,
    /// Quoted-printable: characters in the current line.
    column: usize,
}

impl Encoder {
    /// An encoder to `encoding`.
    pub fn new(encoding: TransferEncoding) -> Self {
        Self {
            encoding,
            held: Vec::new(),
            column: 0,
        }
    }

    /// Encodes `chunk` and appends to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        match self.encoding {
            TransferEncoding::Identity => out.extend_from_slice(chunk),
            TransferEncoding::Base64 => self.base64(chunk, out),
            TransferEncoding::QuotedPrintable => {
                for &byte in chunk {
                    self.quoted_printable(byte, out);
                }
            }
        }
    }

    /// Appends what was held back. Base64 ends with a line end; quoted-printable
    /// as the text did.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        match self.encoding {
            TransferEncoding::Base64 if !held.is_empty() => base64_line(&held, out),
            // RFC 2045 §6.7 rule 3: no white space at the end.
            TransferEncoding::QuotedPrintable => {
                held.into_iter().for_each(|byte| self.escape(byte, out));
            }
            _ => {}
        }
    }

    fn base64(&mut self, mut chunk: &[u8], out: &mut Vec<u8>) {
        if !self.held.is_empty() {
            let take = chunk.len().min(BASE64_LINE - self.held.len());
            self.held.extend_from_slice(&chunk[..take]);
            chunk = &chunk[take..];
            if self.held.len() < BASE64_LINE {
                return;
            }
            base64_line(&self.held, out);
            self.held.clear();
        }
        let mut lines = chunk.chunks_exact(BASE64_LINE);
        lines.by_ref().for_each(|line| base64_line(line, out));
        self.held.extend_from_slice(lines.remainder());
    }

    fn quoted_printable(&mut self, byte: u8, out: &mut Vec<u8>) {
        if let Some(held) = self.held.pop() {
            match (held, byte) {
                (b'\r', b'\n') => {
                    self.line_end(b"\r\n", out);
                    return;
                }
                // RFC 2045 §6.7 rule 3; a carriage return alone is no line end.
                (b'\r', _) | (_, b'\r' | b'\n') => self.escape(held, out),
                _ => self.put(&[held], out),
            }
        }
        match byte {
            b'\n' => self.line_end(b"\n", out),
            b'\r' | b' ' | b'\t' => self.held.push(byte),
            b'-' if self.column == 0 || self.column == MAX_LINE - 1 => self.escape(byte, out),
            b'!'..=b'~' if byte != b'=' => self.put(&[byte], out),
            _ => self.escape(byte, out),
        }
    }

    fn line_end(&mut self, end: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(end);
        self.column = 0;
    }

    fn escape(&mut self, byte: u8, out: &mut Vec<u8>) {
        let [high, low] = [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]);
        self.put(&[b'=', high, low], out);
    }

    /// Puts what must not be parted, behind a soft line break where it has no room.
    fn put(&mut self, text: &[u8], out: &mut Vec<u8>) {
        // The break's own `=` needs room as well.
        if self.column + text.len() >= MAX_LINE {
            self.line_end(b"=\r\n", out);
        }
        out.extend_from_slice(text);
        self.column += text.len();
    }
}

/// Appends a line of base64 made of `bytes`.
fn base64_line(bytes: &[u8], out: &mut Vec<u8>) {
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = (bits >> (18 - 6 * at) & 63) as usize;
            out.push(if at <= group.len() {
                BASE64[digit]
            } else {
                b'='
            });
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Encodes a whole body.
pub fn encode(encoding: TransferEncoding, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(encoding);
    encoder.push(body, &mut out);
    encoder.finish(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::TransferEncoding::{Base64, Identity, QuotedPrintable};
    use super::*;
    use crate::transfer::decode;

    #[test]
    fn bodies_are_encoded() {
        let long = "x".repeat(76);
        let dashes = format!("{}--b", "x".repeat(75));
        for (encoding, body, want) in [
            (Identity, "a=b", "a=b"),
            (Base64, "", ""),
            (Base64, "hello", "aGVsbG8=\r\n"),
            (QuotedPrintable, "a=b\r\nü\n", "a=3Db\r\n=C3=BC\n"),
            (QuotedPrintable, "a b \r\nc\t\nd  ", "a b=20\r\nc=09\nd =20"),
            (QuotedPrintable, "a\rb\r\r\n\r", "a=0Db=0D\r\n=0D"),
            (QuotedPrintable, "-- \r\n", "=2D-=20\r\n"),
            (QuotedPrintable, &long, &format!("{}=\r\nx", "x".repeat(75))),
            (
                QuotedPrintable,
                &dashes,
                &format!("{}=\r\n=2D-b", "x".repeat(75)),
            ),
        ] {
            let got = encode(encoding, body.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), want, "{body:?}");
        }
        let lines = encode(Base64, &[0; BASE64_LINE + 1]);
        assert_eq!(lines.len(), MAX_LINE + 2 + 4 + 2);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            body in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                "[=a \t\r\nü-]{0,300}".prop_map(String::into_bytes),
                "[ -]{0,300}".prop_map(String::into_bytes),
            ],
            cuts in prop::collection::vec(0_usize..300, 0..6),
        ) {
            for encoding in [Identity, Base64, QuotedPrintable] {
                let whole = encode(encoding, &body);
                prop_assert_eq!(&decode(encoding, &whole), &body, "{:?}", encoding);
                let mut cuts: Vec<_> = cuts.iter().map(|c| (*c).min(body.len())).collect();
                cuts.extend([0, body.len()]);
                cuts.sort_unstable();
                let mut encoder = Encoder::new(encoding);
                let mut out = Vec::new();
                for cut in cuts.windows(2) {
                    encoder.push(&body[cut[0]..cut[1]], &mut out);
                }
                encoder.finish(&mut out);
                prop_assert_eq!(&out, &whole, "{:?}", encoding);
                if encoding != Identity {
                    let mut lines = whole.split(|b| *b == b'\n');
                    prop_assert!(lines.all(|l| l.len() <= MAX_LINE + 1 && !l.starts_with(b"-")));
                    prop_assert!(whole.is_ascii());
                }
            }
        }
    }
}
