//! [`Plan`]: what happens to each stretch of a message on its way to 7 bits.

use crate::transfer::TransferEncoding;

/// What is done to the bytes of a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// They stay as they are.
    Copy,
    /// Text that nobody shows, around the parts of a multipart: what is not ASCII
    /// becomes `?`.
    Blank,
    /// A header that gets another Content-Transfer-Encoding.
    Label {
        encoding: &'static str,
        /// It has no MIME-Version, without which the label says nothing (RFC 2045 §4).
        add_version: bool,
    },
    /// A body that gets another encoding.
    Encode {
        from: TransferEncoding,
        to: TransferEncoding,
    },
}

/// What happens to each stretch of a message. Made by [`Survey`](super::Survey) for
/// one message, good for that one alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where each stretch ends, ascending, and what is done to it. What lies behind
    /// the last one stays as it is.
    pub(super) stretches: Vec<(u64, Action)>,
}

impl Plan {
    /// Adds a stretch up to `end`; joins those that stay as they are.
    pub(super) fn add(&mut self, end: u64, action: Action) {
        match self.stretches.last_mut() {
            Some((last, Action::Copy)) if action == Action::Copy => *last = end,
            _ => self.stretches.push((end, action)),
        }
    }
}
