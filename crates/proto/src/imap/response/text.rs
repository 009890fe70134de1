//! Numbers, strings and sets on the wire. Nothing here allocates but the output
//! buffer.

use std::ops::RangeInclusive;

use super::super::mutf7;

/// The longest text that is quoted; a longer one becomes a literal.
const MAX_QUOTED: usize = 1024;

/// Appends a number in decimal.
pub(super) fn number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    let mut rest = value;
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends text for humans: one line of printable ASCII, anything else as `?`,
/// never empty (RFC 3501 §9, resp-text).
pub(super) fn human(out: &mut Vec<u8>, text: &str) {
    let printable = |c: char| match c {
        ' '..='~' => u8::try_from(c).unwrap_or(b'?'),
        '\t' | '\r' | '\n' => b' ',
        _ => b'?',
    };
    if text.is_empty() {
        out.push(b'.');
    }
    out.extend(text.chars().map(printable));
}

/// Appends a quoted string, or a literal where the bytes do not fit in one: 8
/// bits, CR, LF, or long (RFC 3501 §4.3). A NUL, which no string can hold,
/// becomes a space.
pub(super) fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let quotable = |b: &u8| matches!(b, 1..=9 | 11..=12 | 14..=127);
    if bytes.len() > MAX_QUOTED || !bytes.iter().all(quotable) {
        literal_header(out, bytes.len() as u64);
        let start = out.len();
        out.extend_from_slice(bytes);
        if bytes.contains(&0) {
            for byte in out.iter_mut().skip(start) {
                if *byte == 0 {
                    *byte = b' ';
                }
            }
        }
        return;
    }
    out.push(b'"');
    let mut rest = bytes;
    while let Some(special) = rest.iter().position(|b| matches!(b, b'"' | b'\\')) {
        let (plain, tail) = rest.split_at(special);
        out.extend_from_slice(plain);
        out.push(b'\\');
        let (escaped, tail) = tail.split_at(1);
        out.extend_from_slice(escaped);
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends a string or NIL.
pub(super) fn nstring(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => string(out, bytes),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Appends `{length}` CRLF: exactly that many bytes follow.
pub(super) fn literal_header(out: &mut Vec<u8>, length: u64) {
    out.push(b'{');
    number(out, length);
    out.extend_from_slice(b"}\r\n");
}

/// Appends a mailbox name: modified UTF-7, quoted.
pub(super) fn mailbox(out: &mut Vec<u8>, name: &str) {
    if name.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'&') {
        return string(out, name.as_bytes());
    }
    let mut encoded = Vec::with_capacity(name.len() * 2);
    mutf7::encode(name, &mut encoded);
    string(out, &encoded);
}

/// Appends a set such as `1:3,7`; the ranges are not empty.
pub(super) fn set(out: &mut Vec<u8>, ranges: &[RangeInclusive<u32>]) {
    for (index, range) in ranges.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        number(out, u64::from(*range.start()));
        if range.start() != range.end() {
            out.push(b':');
            number(out, u64::from(*range.end()));
        }
    }
}

/// Appends words with spaces between.
pub(super) fn words<'a>(out: &mut Vec<u8>, words: impl IntoIterator<Item = &'a str>) {
    let mut separate = false;
    for word in words {
        if separate {
            out.push(b' ');
        }
        separate = true;
        out.extend_from_slice(word.as_bytes());
    }
}
