//! xtext (RFC 3461 §4): printable ASCII with `+XX` for what else there is.

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

/// RFC 3461 §4: hexchar takes upper case alone; lower case is read as well.
fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn xtext_is_decoded() {
        assert_eq!(decode("a+2Bb+3Dc+20d").as_deref(), Some("a+b=c d"));
        for bad in ["+", "+2", "+zz", "a=b", "a b", "+00", "+0A", "ü"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
