//! Mailbox names in modified UTF-7 (RFC 3501 §5.1.3), strict: a name has one
//! spelling, and any other is an error.

/// Why a name is not valid modified UTF-7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A byte outside printable ASCII.
    #[error("a mailbox name must be modified UTF-7: printable ASCII only")]
    NotAscii,
    /// A `&` without the `-` that ends it, or with something between that is
    /// not UTF-16 in base64, or a needless one.
    #[error("a mailbox name must be modified UTF-7: write & as &-")]
    BadShift,
    /// A control character.
    #[error("a mailbox name must not hold control characters")]
    Control,
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

const fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b',' => Some(63),
        _ => None,
    }
}

/// Appends `name` in modified UTF-7.
pub fn encode(name: &str, out: &mut Vec<u8>) {
    let mut chars = name.chars().peekable();
    while let Some(first) = chars.next() {
        match first {
            '&' => out.extend_from_slice(b"&-"),
            ' '..='~' => out.push(u8::try_from(first).expect("printable ASCII fits a byte")),
            _ => {
                out.push(b'&');
                let mut bits = Bits::default();
                bits.push(first, out);
                while let Some(next) = chars.next_if(|c| !matches!(c, ' '..='~')) {
                    bits.push(next, out);
                }
                bits.finish(out);
                out.push(b'-');
            }
        }
    }
}

/// Collects UTF-16 units into groups of six bits.
#[derive(Default)]
struct Bits {
    held: u32,
    count: u32,
}

impl Bits {
    fn push(&mut self, c: char, out: &mut Vec<u8>) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            self.held = self.held << 16 | u32::from(*unit);
            self.count += 16;
            while self.count >= 6 {
                self.count -= 6;
                out.push(letter(self.held >> self.count));
            }
            self.held &= (1 << self.count) - 1;
        }
    }

    fn finish(self, out: &mut Vec<u8>) {
        if self.count > 0 {
            out.push(letter(self.held << (6 - self.count)));
        }
    }
}

fn letter(bits: u32) -> u8 {
    // The mask keeps the index below 64.
    ALPHABET[(bits & 63) as usize]
}

/// The name that `bytes` spell.
pub fn decode(bytes: &[u8]) -> Result<String, Error> {
    let mut name = String::with_capacity(bytes.len());
    let mut rest = bytes;
    // RFC 3501 §5.1.3: no superfluous shift, so none right after another.
    let mut after_shift = false;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'&' => {
                let end = rest
                    .iter()
                    .position(|&b| b == b'-')
                    .ok_or(Error::BadShift)?;
                let (shifted, tail) = rest.split_at(end);
                rest = tail.get(1..).unwrap_or_default();
                if shifted.is_empty() {
                    name.push('&');
                    after_shift = false;
                } else {
                    if after_shift {
                        return Err(Error::BadShift);
                    }
                    decode_shift(shifted, &mut name)?;
                    after_shift = true;
                }
            }
            b' '..=b'~' => {
                name.push(char::from(byte));
                after_shift = false;
            }
            _ => return Err(Error::NotAscii),
        }
    }
    Ok(name)
}

fn decode_shift(shifted: &[u8], name: &mut String) -> Result<(), Error> {
    let mut units = Vec::with_capacity(shifted.len() * 6 / 16);
    let (mut held, mut count) = (0u32, 0u32);
    for &byte in shifted {
        held = held << 6 | u32::from(value(byte).ok_or(Error::BadShift)?);
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push(u16::try_from(held >> count & 0xffff).expect("masked to 16 bits"));
        }
        held &= (1 << count) - 1;
    }
    // What is left is padding: less than a letter, and zero.
    if count >= 6 || held != 0 {
        return Err(Error::BadShift);
    }
    for c in char::decode_utf16(units) {
        match c.map_err(|_| Error::BadShift)? {
            // Printable ASCII stands for itself.
            ' '..='~' => return Err(Error::BadShift),
            c if c.is_control() => return Err(Error::Control),
            c => name.push(c),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(name: &str) -> String {
        let mut out = Vec::new();
        encode(name, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_are_spelled_as_the_rfc_does() {
        for (name, spelled) in [
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("R&D", "R&-D"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("☺", "&Jjo-"),
            ("😀 ü", "&2D3eAA- &APw-"),
            ("", ""),
        ] {
            assert_eq!(encoded(name), spelled);
            assert_eq!(decode(spelled.as_bytes()).as_deref(), Ok(name));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for bad in [
            "&",
            "a&b",
            "&Jjo",
            "&Jjo!-",
            "&U,BTFw-&ZeVnLIqe-",
            "&AGE-",
            "&Jj-",
            "&Jjp-",
            "&JjoA-",
            "&2D0-",
            "&3gA-",
            "&=-",
            "&AAA=-",
        ] {
            assert_eq!(decode(bad.as_bytes()), Err(Error::BadShift), "{bad}");
        }
        assert_eq!(decode("ü".as_bytes()), Err(Error::NotAscii));
        assert_eq!(decode(b"a\x01"), Err(Error::NotAscii));
        assert_eq!(decode(b"&AAA-"), Err(Error::Control));
    }

    proptest::proptest! {
        #[test]
        fn names_survive_a_round_trip(name in "\\PC*") {
            proptest::prop_assert_eq!(decode(encoded(&name).as_bytes()), Ok(name));
        }

        #[test]
        fn what_decodes_has_one_spelling(bytes in "[&A-Za-c,+ -]{0,12}") {
            if let Ok(name) = decode(bytes.as_bytes()) {
                proptest::prop_assert_eq!(encoded(&name), bytes);
            }
        }
    }
}
