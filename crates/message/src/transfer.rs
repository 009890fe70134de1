//! Content-Transfer-Encoding (RFC 2045 §6): decoding of a part in chunks of any
//! size, for SEARCH. Tolerant: what is not valid is passed over or kept as it is.

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferEncoding {
    /// `7bit`, `8bit`, `binary`, and everything unknown.
    Identity,
    /// `base64`.
    Base64,
    /// `quoted-printable`.
    QuotedPrintable,
}

impl TransferEncoding {
    /// Reads a Content-Transfer-Encoding; None stands for a part without one.
    pub fn parse(value: Option<&[u8]>) -> Self {
        match value.map(<[u8]>::trim_ascii) {
            Some(v) if v.eq_ignore_ascii_case(b"base64") => Self::Base64,
            Some(v) if v.eq_ignore_ascii_case(b"quoted-printable") => Self::QuotedPrintable,
            _ => Self::Identity,
        }
    }
}

/// Decodes a body chunk by chunk.
#[derive(Clone, Debug)]
pub struct Decoder {
    encoding: TransferEncoding,
    /// Base64: bits not yet written, and how many.
    bits: u32,
    count: u32,
    /// Quoted-printable: an escape or white space that the chunk cut, at most
    /// [`MAX_HELD`] bytes.
    held: Vec<u8>,
}

/// The longest run of white space that is held back to see whether a line ends
/// there (RFC 2045 §6.7 rule 3); a longer one is kept.
const MAX_HELD: usize = 1024;

const NOT_BASE64: u8 = 0xff;
const BASE64: [u8; 256] = {
    let mut table = [NOT_BASE64; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut at = 0;
    while at < alphabet.len() {
        table[alphabet[at] as usize] = at as u8;
        at += 1;
    }
    table
};

impl Decoder {
    /// A decoder for `encoding`.
    pub fn new(encoding: TransferEncoding) -> Self {
        Self {
            encoding,
            bits: 0,
            count: 0,
            held: Vec::new(),
        }
    }

    /// Decodes `chunk` and appends to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        match self.encoding {
            TransferEncoding::Identity => out.extend_from_slice(chunk),
            TransferEncoding::Base64 => self.base64(chunk, out),
            TransferEncoding::QuotedPrintable => {
                if self.held.is_empty() {
                    self.quoted_printable(chunk, out);
                } else {
                    let mut joined = std::mem::take(&mut self.held);
                    joined.extend_from_slice(chunk);
                    self.quoted_printable(&joined, out);
                }
            }
        }
    }

    /// Appends what was held back.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        // A cut escape is kept, white space at the end is not.
        if held.first() == Some(&b'=') {
            out.extend_from_slice(held.strip_suffix(b"\r").unwrap_or(&held));
        }
    }

    fn base64(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        out.reserve(chunk.len() / 4 * 3 + 3);
        for &byte in chunk {
            let value = BASE64[usize::from(byte)];
            if value == NOT_BASE64 {
                if byte == b'=' {
                    // Padding: the rest of the quantum is no data. Another
                    // encoded run may follow.
                    self.bits = 0;
                    self.count = 0;
                }
                continue;
            }
            self.bits = self.bits << 6 | u32::from(value);
            self.count += 6;
            if self.count >= 8 {
                self.count -= 8;
                let [.., byte] = (self.bits >> self.count).to_be_bytes();
                out.push(byte);
                self.bits &= (1 << self.count) - 1;
            }
        }
    }

    fn quoted_printable(&mut self, mut rest: &[u8], out: &mut Vec<u8>) {
        let special = |b: &u8| matches!(b, b'=' | b' ' | b'\t');
        while let Some(at) = rest.iter().position(special) {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            if rest[0] == b'=' {
                match escape(rest) {
                    Escape::Byte(byte) => {
                        out.push(byte);
                        rest = &rest[3..];
                    }
                    Escape::SoftBreak(length) => rest = &rest[length..],
                    Escape::Broken => {
                        out.push(b'=');
                        rest = &rest[1..];
                    }
                    Escape::Cut if rest.len() <= MAX_HELD => {
                        self.held = rest.to_vec();
                        return;
                    }
                    Escape::Cut => {
                        out.push(b'=');
                        rest = &rest[1..];
                    }
                }
                continue;
            }
            let blank = |b: &u8| !matches!(b, b' ' | b'\t');
            let end = rest.iter().position(blank).unwrap_or(rest.len());
            let after = &rest[end..];
            let cut = matches!(after, [] | [b'\r']);
            if cut && rest.len() <= MAX_HELD {
                self.held = rest.to_vec();
                return;
            }
            // RFC 2045 §6.7 rule 3: white space at a line's end was added on the way.
            if !(after.starts_with(b"\n") || after.starts_with(b"\r\n")) {
                out.extend_from_slice(&rest[..end]);
            }
            rest = after;
        }
        out.extend_from_slice(rest);
    }
}

enum Escape {
    Byte(u8),
    /// A line end of so many bytes that is no line end (RFC 2045 §6.7 rule 5).
    SoftBreak(usize),
    Broken,
    Cut,
}

/// Reads what begins with `=`.
fn escape(text: &[u8]) -> Escape {
    let hex = |b: u8| (b as char).to_digit(16).and_then(|d| u8::try_from(d).ok());
    match text[1..] {
        [] => return Escape::Cut,
        [a] if hex(a).is_some() => return Escape::Cut,
        [a, b, ..] => {
            if let (Some(a), Some(b)) = (hex(a), hex(b)) {
                return Escape::Byte(a << 4 | b);
            }
        }
        _ => {}
    }
    let blank = |b: &u8| !matches!(b, b' ' | b'\t');
    let at = 1 + text[1..].iter().position(blank).unwrap_or(text.len() - 1);
    match &text[at..] {
        [] | [b'\r'] => Escape::Cut,
        [b'\n', ..] => Escape::SoftBreak(at + 1),
        [b'\r', b'\n', ..] => Escape::SoftBreak(at + 2),
        _ => Escape::Broken,
    }
}

/// Decodes a whole body.
pub fn decode(encoding: TransferEncoding, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut decoder = Decoder::new(encoding);
    decoder.push(body, &mut out);
    decoder.finish(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::TransferEncoding::{Base64, Identity, QuotedPrintable};
    use super::*;

    #[test]
    fn bodies_are_decoded() {
        for (encoding, body, want) in [
            (Identity, "a=b", "a=b"),
            (Base64, "aGVs\r\nbG8=", "hello"),
            (Base64, "aGVsbG8", "hello"),
            (Base64, "aGV*s bG8==aGk=", "hellohi"),
            (Base64, "a", ""),
            (QuotedPrintable, "a=3Db=\r\nc =\nd  \r\ne", "a=bc d\r\ne"),
            (QuotedPrintable, "a=zz=", "a=zz="),
            (QuotedPrintable, "a= \t\r\nb=4", "ab=4"),
            (QuotedPrintable, "a b\t", "a b"),
        ] {
            let got = decode(encoding, body.as_bytes());
            assert_eq!(String::from_utf8_lossy(&got), want, "{body:?}");
        }
        assert_eq!(TransferEncoding::parse(Some(b" BASE64")), Base64);
        assert_eq!(TransferEncoding::parse(None), Identity);
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(text in "[=a4F \t\r\nzA+/]{0,80}", cuts in prop::collection::vec(0_usize..80, 0..6)) {
            for encoding in [Identity, Base64, QuotedPrintable] {
                let whole = decode(encoding, text.as_bytes());
                let mut decoder = Decoder::new(encoding);
                let mut out = Vec::new();
                let mut cuts: Vec<_> = cuts.iter().map(|c| (*c).min(text.len())).collect();
                cuts.push(text.len());
                cuts.sort_unstable();
                let mut from = 0;
                for cut in cuts {
                    decoder.push(&text.as_bytes()[from..cut], &mut out);
                    from = cut;
                }
                decoder.finish(&mut out);
                prop_assert_eq!(&out, &whole, "{:?}", encoding);
            }
        }

        #[test]
        fn base64_is_what_was_encoded(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let encoded: Vec<u8> = bytes.chunks(3).flat_map(|c| {
                let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
                let n = c.iter().enumerate().fold(0_u32, |n, (i, b)| n | u32::from(*b) << (16 - 8 * i));
                (0..4).map(|i| if i <= c.len() { alphabet[(n >> (18 - 6 * i) & 63) as usize] } else { b'=' }).collect::<Vec<_>>()
            }).collect();
            prop_assert_eq!(decode(Base64, &encoded), bytes);
        }
    }
}
