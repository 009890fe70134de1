//! xtext (RFC 3461 §4): printable ASCII with `+XX` for what else there is.

use std::fmt::Write as _;

/// Decodes xtext into printable ASCII; None where it is none.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let decoded = match byte {
            b'+' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'=' => return None,
            b'!'..=b'~' => byte,
            _ => return None,
        };
        // RFC 3461 §4.4, §4.2: what is encoded is printable.
        if !(b' '..=b'~').contains(&decoded) {
            return None;
        }
        out.push(char::from(decoded));
    }
    Some(out)
}

/// Encodes `text` as xtext. What is not ASCII comes out as its UTF-8 bytes.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'+' | b'=' => push_hex(&mut out, byte),
            b'!'..=b'~' => out.push(char::from(byte)),
            _ => push_hex(&mut out, byte),
        }
    }
    out
}

/// Writes the characters beyond ASCII of an address that is encoded otherwise
/// as `\x{XXXX}` (RFC 6533 §3, utf-8-addr-xtext).
pub(super) fn encode_unicode(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for c in address.chars() {
        match c.is_ascii() {
            true => out.push(c),
            // Writing to a String cannot fail.
            false => drop(write!(out, "\\x{{{:X}}}", u32::from(c))),
        }
    }
    out
}

fn push_hex(out: &mut String, byte: u8) {
    // Writing to a String cannot fail.
    let _ = write!(out, "+{byte:02X}");
}

/// RFC 3461 §4: hexchar takes upper case alone; lower case is read as well.
fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::{decode, encode, encode_unicode};

    #[test]
    fn what_is_encoded_is_decoded() {
        for text in ["a+b=c d", "", "~!\"\\", "plain"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
        assert_eq!(encode("a+b=c d"), "a+2Bb+3Dc+20d");
        assert_eq!(encode_unicode("é@x.example"), "\\x{E9}@x.example");
    }

    #[test]
    fn xtext_is_decoded() {
        assert_eq!(decode("a+2Bb+3Dc+20d").as_deref(), Some("a+b=c d"));
        for bad in ["+", "+2", "+zz", "a=b", "a b", "+00", "+0A", "ü"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
