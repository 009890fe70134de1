//! [`Converter`]: the second reading, which rewrites the message as planned.

use std::sync::LazyLock;

use super::plan::{Action, Plan};
use crate::FieldSelector;
use crate::encode::Encoder;
use crate::transfer::Decoder;

static LABEL: LazyLock<[String; 1]> = LazyLock::new(|| ["content-transfer-encoding".into()]);

/// What is at work in the current stretch.
enum Work {
    Copy,
    Blank,
    Label {
        selector: Box<FieldSelector<'static>>,
        encoding: &'static str,
        add_version: bool,
    },
    Encode {
        decoder: Decoder,
        encoder: Encoder,
    },
}

impl Work {
    fn new(action: Action) -> Self {
        match action {
            Action::Copy => Self::Copy,
            Action::Blank => Self::Blank,
            Action::Label {
                encoding,
                add_version,
            } => Self::Label {
                selector: Box::new(FieldSelector::new(&LABEL[..], true)),
                encoding,
                add_version,
            },
            Action::Encode { from, to } => Self::Encode {
                decoder: Decoder::new(from),
                encoder: Encoder::new(to),
            },
        }
    }

    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Copy => out.extend_from_slice(piece),
            Self::Blank => out.extend(piece.iter().map(|b| if b.is_ascii() { *b } else { b'?' })),
            Self::Label { selector, .. } => {
                selector.push(piece, &mut |kept: &[u8]| out.extend_from_slice(kept));
            }
            Self::Encode { decoder, encoder } => {
                let mut decoded = Vec::new();
                decoder.push(piece, &mut decoded);
                encoder.push(&decoded, out);
            }
        }
    }

    fn finish(self, out: &mut Vec<u8>) {
        match self {
            Self::Copy | Self::Blank => {}
            Self::Label {
                selector,
                encoding,
                add_version,
            } => {
                selector.finish(&mut |kept: &[u8]| out.extend_from_slice(kept));
                // The new fields go before the empty line.
                out.truncate(out.len().saturating_sub(b"\r\n".len()));
                if add_version {
                    out.extend_from_slice(b"MIME-Version: 1.0\r\n");
                }
                let label = format!("Content-Transfer-Encoding: {encoding}\r\n\r\n");
                out.extend_from_slice(label.as_bytes());
            }
            Self::Encode {
                mut decoder,
                mut encoder,
            } => {
                let mut decoded = Vec::new();
                decoder.finish(&mut decoded);
                encoder.push(&decoded, out);
                encoder.finish(out);
            }
        }
    }
}

/// Reads a message for the second time and writes it in 7 bits.
pub struct Converter {
    plan: std::vec::IntoIter<(u64, Action)>,
    /// Where the current stretch ends, and what is done in it.
    end: u64,
    work: Work,
    offset: u64,
}

impl Converter {
    /// A converter at the start of the message that `plan` was made for.
    pub fn new(plan: Plan) -> Self {
        Self {
            plan: plan.stretches.into_iter(),
            end: 0,
            work: Work::Copy,
            offset: 0,
        }
    }

    /// Reads the next bytes of the message and appends what becomes of them to
    /// `out`: up to three times as much and a few words.
    pub fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        while !piece.is_empty() {
            if self.offset == self.end {
                self.advance(out);
            }
            let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
            let (now, rest) = piece.split_at(piece.len().min(left));
            self.work.push(now, out);
            self.offset += now.len() as u64;
            piece = rest;
        }
    }

    /// Appends what is left, after the last byte.
    pub fn finish(self, out: &mut Vec<u8>) {
        self.work.finish(out);
    }

    /// Ends the current stretch and begins the next one.
    fn advance(&mut self, out: &mut Vec<u8>) {
        let (end, action) = self.plan.next().unwrap_or((u64::MAX, Action::Copy));
        std::mem::replace(&mut self.work, Work::new(action)).finish(out);
        self.end = end;
    }
}
