//! [`LongHeader`]: what is held of a header that is longer than the limit. Only
//! the fields that the summary is made from, each up to a length, so that a
//! hundred trace fields or thousands of recipients hide neither Subject nor
//! Message-ID. How the header is cut into pieces makes no difference.

use crate::Summary;

/// The longest start of a line in which the name of a field is looked for. The
/// scan shows at least this much of a line at once.
const MAX_NAME: usize = 64;

/// The state between two pieces of a long header.
pub(super) struct LongHeader {
    /// The most bytes that are held.
    max: usize,
    /// The most bytes of one field.
    max_field: usize,
    /// The current field is held.
    wanted: bool,
    /// How much of it still may be.
    room: usize,
    /// Something of a wanted field was dropped.
    pub(super) is_cut: bool,
}

impl LongHeader {
    /// Goes on from the bytes in `header`, which is reduced to what is held.
    pub(super) fn begin(header: &mut Vec<u8>, max: usize) -> Self {
        let mut long = Self {
            max,
            max_field: max / 4,
            wanted: false,
            room: 0,
            is_cut: false,
        };
        let whole = std::mem::take(header);
        for line in whole.split_inclusive(|b| *b == b'\n') {
            long.push(line, false, header);
        }
        long
    }

    /// Takes a line or the next piece of one: then `mid_line` is true.
    pub(super) fn push(&mut self, piece: &[u8], mid_line: bool, header: &mut Vec<u8>) {
        let folded = matches!(piece.first(), Some(b' ' | b'\t'));
        if !mid_line && !folded {
            self.wanted = is_wanted(piece);
            self.room = self.max_field;
            // The field before was cut within a line.
            if self.wanted && header.last().is_some_and(|b| *b != b'\n') {
                header.extend_from_slice(b"\r\n");
            }
        }
        if !self.wanted {
            return;
        }
        let left = self.max.saturating_sub(header.len()).min(self.room);
        let take = piece.len().min(left);
        header.extend_from_slice(&piece[..take]);
        self.room -= take;
        self.is_cut |= take < piece.len();
    }
}

/// Whether the summary is made from the field that begins with `line`.
fn is_wanted(line: &[u8]) -> bool {
    let start = &line[..line.len().min(MAX_NAME)];
    let Some(colon) = start.iter().position(|b| *b == b':') else {
        return false;
    };
    let name = start[..colon].trim_ascii_end().to_ascii_lowercase();
    let others = ["mime-version", "received"];
    let mut wanted = Summary::COMMON_FIELDS.iter().chain(&others);
    name.starts_with(b"content-") || wanted.any(|w| w.as_bytes() == name)
}
