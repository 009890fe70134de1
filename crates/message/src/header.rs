//! Raw header blocks: iterating over fields, unfolding, and the selections that
//! IMAP's HEADER.FIELDS asks for. Every byte of a block belongs to exactly one
//! field, broken lines included, so that a selection never invents or loses any.

use std::borrow::Cow;

use memchr::memchr;

/// One header field of a raw block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name without trailing white space; empty for a line that is no field.
    pub name: &'a [u8],
    /// Behind the colon, folding included, without the final line end.
    pub value: &'a [u8],
    /// The whole field with its final line end, if it has one.
    pub raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether its name is `name`, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value in one line, without white space at both ends (RFC 5322 §2.2.3).
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        unfold(self.value)
    }
}

/// Takes the line ends out of `value` and the white space off its ends.
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr(b'\n', value).is_none() && memchr(b'\r', value).is_none() {
        return Cow::Borrowed(value);
    }
    Cow::Owned(
        value
            .iter()
            .copied()
            .filter(|b| !matches!(b, b'\r' | b'\n'))
            .collect(),
    )
}

/// The fields of a raw header block, in order, up to its empty line or its end.
pub fn fields(block: &[u8]) -> Fields<'_> {
    Fields { rest: block }
}

/// The iterator of [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if is_empty_line(self.rest) {
            self.rest = &[];
        }
        if self.rest.is_empty() {
            return None;
        }
        let mut end = 0;
        loop {
            end = memchr(b'\n', &self.rest[end..]).map_or(self.rest.len(), |at| end + at + 1);
            if !matches!(self.rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (raw, rest) = self.rest.split_at(end);
        self.rest = rest;
        let line = raw.strip_suffix(b"\n").unwrap_or(raw);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (name, value) = match memchr(b':', line) {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (&[][..], line),
        };
        let name = name.trim_ascii_end();
        // A name holds printable ASCII alone (RFC 5322 §3.6.8).
        if !name.iter().all(u8::is_ascii_graphic) || name.is_empty() {
            return Some(Field {
                name: &[],
                value: line,
                raw,
            });
        }
        Some(Field { name, value, raw })
    }
}

fn is_empty_line(rest: &[u8]) -> bool {
    rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
}

/// The first field named `name`, in any case.
pub fn find<'a>(block: &'a [u8], name: &str) -> Option<Field<'a>> {
    fields(block).find(|f| f.is(name))
}

/// Appends to `out` the fields of `block` with one of `names` (of the others,
/// if `not`) and an empty line: HEADER.FIELDS and HEADER.FIELDS.NOT (RFC 9051
/// §6.4.5.1).
pub fn select<N: AsRef<[u8]>>(block: &[u8], names: &[N], not: bool, out: &mut Vec<u8>) {
    for field in fields(block) {
        let listed = names
            .iter()
            .any(|n| !field.name.is_empty() && field.name.eq_ignore_ascii_case(n.as_ref()));
        if listed != not {
            out.extend_from_slice(field.raw);
            if !field.raw.ends_with(b"\n") {
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &[u8] =
        b"Subject: a\r\n b\r\nFrom : x\nbroken line\r\nTo:\r\n\ty\r\n\r\nbody: no\r\n";

    #[test]
    fn fields_are_split_and_unfolded() {
        let seen: Vec<_> = fields(BLOCK)
            .map(|f| (f.name.to_vec(), f.unfolded().into_owned()))
            .collect();
        assert_eq!(
            seen,
            [
                (b"Subject".to_vec(), b"a b".to_vec()),
                (b"From".to_vec(), b"x".to_vec()),
                (b"".to_vec(), b"broken line".to_vec()),
                (b"To".to_vec(), b"y".to_vec()),
            ]
        );
        assert_eq!(find(BLOCK, "TO").unwrap().unfolded().as_ref(), b"y");
        assert!(find(BLOCK, "body").is_none());
        assert_eq!(fields(b"").count(), 0);
        assert_eq!(fields(b"\r\n").count(), 0);
        assert_eq!(fields(b" x\r\n").count(), 1);
    }

    #[test]
    fn a_selection_and_its_opposite_make_up_the_header() {
        let mut out = Vec::new();
        select(BLOCK, &["subject", "TO"], false, &mut out);
        assert_eq!(out, b"Subject: a\r\n b\r\nTo:\r\n\ty\r\n\r\n");
        out.clear();
        select(BLOCK, &["subject", "TO"], true, &mut out);
        assert_eq!(out, b"From : x\nbroken line\r\n\r\n");
        out.clear();
        select(b"A: b", &["a"], false, &mut out);
        assert_eq!(out, b"A: b\r\n\r\n");
    }
}
