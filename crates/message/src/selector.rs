//! [`FieldSelector`]: what [`header::select`](crate::header::select) does, for a
//! header that is too long to be held: it comes in pieces of any size and leaves
//! in pieces. Only the start of a line is held until the field's name is known.

use memchr::memchr2;

/// The longest start of a field in which its name is looked for; a field whose
/// colon comes later is one without a name.
const MAX_START: usize = 1024;

/// Selects fields of a header by name.
#[derive(Debug)]
pub struct FieldSelector<'a> {
    names: &'a [String],
    not: bool,
    /// The start of a field whose name is not known yet.
    start: Vec<u8>,
    /// The next byte begins a line.
    at_line_start: bool,
    /// The current field is selected. None before the first.
    selected: Option<bool>,
    /// The last byte that was selected.
    last: u8,
    /// The empty line was seen.
    ended: bool,
}

impl<'a> FieldSelector<'a> {
    /// Selects the fields with one of `names`, or if `not` the others.
    pub fn new(names: &'a [String], not: bool) -> Self {
        Self {
            names,
            not,
            start: Vec::new(),
            at_line_start: true,
            selected: None,
            last: b'\n',
            ended: false,
        }
    }

    /// Takes the next bytes of the header and hands what is selected to `emit`.
    pub fn push(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(&[u8])) {
        while let Some(first) = bytes.first().filter(|_| !self.ended) {
            let folds = self.selected.is_some() && matches!(first, b' ' | b'\t');
            if self.at_line_start && (!self.start.is_empty() || !folds) {
                bytes = self.begin(bytes, emit);
                continue;
            }
            let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
            let (line, rest) = bytes.split_at(end);
            self.at_line_start = line.ends_with(b"\n");
            self.pass(line, emit);
            bytes = rest;
        }
    }

    /// Ends the header: an unfinished field gets its line end, and the empty line
    /// follows.
    pub fn finish(mut self, emit: &mut impl FnMut(&[u8])) {
        if !self.start.is_empty() {
            self.decide(false, emit);
        }
        if self.last != b'\n' {
            emit(b"\r\n");
        }
        emit(b"\r\n");
    }

    /// Gathers the start of a field up to its colon or the line's end; returns
    /// the bytes behind it.
    fn begin<'b>(&mut self, bytes: &'b [u8], emit: &mut impl FnMut(&[u8])) -> &'b [u8] {
        let found = memchr2(b':', b'\n', bytes);
        let room = MAX_START.saturating_sub(self.start.len()).max(1);
        let end = found.map_or(bytes.len(), |at| at + 1).min(room);
        let (start, rest) = bytes.split_at(end);
        self.start.extend_from_slice(start);
        match self.start.last() {
            Some(b':') => self.decide(true, emit),
            Some(b'\n') if matches!(&self.start[..], b"\n" | b"\r\n") => {
                self.start.clear();
                self.ended = true;
            }
            Some(b'\n') => self.decide(false, emit),
            _ if self.start.len() >= MAX_START => self.decide(false, emit),
            _ => {}
        }
        rest
    }

    /// The start of a field is complete: whether it is selected.
    fn decide(&mut self, has_colon: bool, emit: &mut impl FnMut(&[u8])) {
        let start = std::mem::take(&mut self.start);
        let name = match start.strip_suffix(b":") {
            Some(name) if has_colon => name.trim_ascii_end(),
            _ => &[],
        };
        let listed = !name.is_empty()
            && name.iter().all(u8::is_ascii_graphic)
            && self
                .names
                .iter()
                .any(|n| name.eq_ignore_ascii_case(n.as_bytes()));
        self.selected = Some(listed != self.not);
        self.at_line_start = start.ends_with(b"\n");
        self.pass(&start, emit);
        self.start = start;
        self.start.clear();
    }

    fn pass(&mut self, bytes: &[u8], emit: &mut impl FnMut(&[u8])) {
        if self.selected == Some(true)
            && let Some(&last) = bytes.last()
        {
            self.last = last;
            emit(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::header;

    fn selected(block: &[u8], names: &[String], not: bool, size: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut emit = |bytes: &[u8]| out.extend_from_slice(bytes);
        let mut selector = FieldSelector::new(names, not);
        for piece in block.chunks(size) {
            selector.push(piece, &mut emit);
        }
        selector.finish(&mut emit);
        out
    }

    #[test]
    fn a_long_start_without_a_colon_is_a_field_without_a_name() {
        let names = ["a".to_owned()];
        let block = format!("A{}: x\r\nA: y\r\n\r\n", " ".repeat(MAX_START));
        assert_eq!(
            selected(block.as_bytes(), &names, false, 7),
            b"A: y\r\n\r\n"
        );
    }

    proptest! {
        #[test]
        fn pieces_select_what_the_whole_selects(
            lines in prop::collection::vec(
                prop::sample::select(vec![
                    "A: b\r\n", "b : c\n", " folded\r\n", "\tx: y\n", "a:", "broken\r\n",
                    "A b: c\r\n", "C:\r\n", "\r", "abc: d\r\n", "\r\n",
                ]),
                0..12,
            ),
            not in any::<bool>(),
            size in 1..9_usize,
        ) {
            let block = lines.concat();
            // A colon behind a fold makes no name here (RFC 5322 §2.2).
            prop_assume!(!block.contains("broken\r\n ") && !block.contains("broken\r\n\t"));
            let names = ["a".to_owned(), "B".to_owned(), "broken".to_owned()];
            let mut want = Vec::new();
            header::select(block.as_bytes(), &names, not, &mut want);
            prop_assert_eq!(selected(block.as_bytes(), &names, not, size), want);
        }
    }
}
