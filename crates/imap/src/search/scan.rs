//! Looking for texts in a body: its text parts as a reader would show them,
//! piece by piece, and the headers of messages inside it.

use std::ops::Range;

use postrider_body::{Error, Reader};
use postrider_message::transfer::{Decoder, TransferEncoding};
use postrider_message::{Part, header, text};

use super::needle::{Needle, fold};

/// How much of a body is read at once.
const PIECE: u64 = 128 * 1024;
/// The longest header of a message in the body that is looked at.
const MAX_HEADER: u64 = 64 * 1024;

/// Which of the texts were found.
pub(crate) struct TextHits(Vec<bool>);

impl TextHits {
    /// Whether the text with this number was found in the body.
    pub(crate) fn in_body(&self, index: usize) -> bool {
        self.0.get(index).copied().unwrap_or(false)
    }
}

/// What is looked at.
enum Piece<'a> {
    /// The body of a text part.
    Text(&'a Part),
    /// The header of a message in the body.
    Header(Range<u64>),
}

/// Looks for `needles` in the body with this structure.
pub(crate) async fn scan(
    reader: &Reader,
    structure: &Part,
    needles: &[Needle],
) -> Result<TextHits, Error> {
    let mut hits = TextHits(vec![false; needles.len()]);
    let mut pieces = Vec::new();
    collect(structure, &mut pieces);
    for piece in pieces {
        match piece {
            Piece::Text(part) => scan_text(reader, part, needles, &mut hits).await?,
            Piece::Header(range) => {
                let block = reader.read(range).await?;
                for field in header::fields(&block) {
                    let value = text::decode_words(&field.unfolded());
                    look(&value, needles, &mut hits);
                }
            }
        }
        if hits.0.iter().all(|hit| *hit) {
            break;
        }
    }
    Ok(hits)
}

/// The pieces in the order of the body. The summary bounds depth and number.
fn collect<'a>(part: &'a Part, pieces: &mut Vec<Piece<'a>>) {
    if let Some(message) = part.message() {
        let range = message.header();
        let end = range.end.min(range.start.saturating_add(MAX_HEADER));
        pieces.push(Piece::Header(range.start..end));
    }
    if part.parts.is_empty() && part.is_text() {
        pieces.push(Piece::Text(part));
    }
    for child in &part.parts {
        collect(child, pieces);
    }
}

fn look(value: &str, needles: &[Needle], hits: &mut TextHits) {
    let mut folded = String::with_capacity(value.len());
    fold(value, &mut folded);
    look_folded(&folded, needles, hits);
}

fn look_folded(folded: &str, needles: &[Needle], hits: &mut TextHits) {
    for (needle, hit) in needles.iter().zip(&mut hits.0) {
        *hit |= !*hit && needle.is_in_folded(folded);
    }
}

async fn scan_text(
    reader: &Reader,
    part: &Part,
    needles: &[Needle],
    hits: &mut TextHits,
) -> Result<(), Error> {
    let longest = needles.iter().map(Needle::len).max().unwrap_or(0);
    let mut transfer = Decoder::new(TransferEncoding::parse(part.encoding.as_deref()));
    let charset = part.param("charset").map(|charset| &charset[..]);
    let mut decoder = text::TextDecoder::new(charset);
    let (mut bytes, mut decoded, mut folded) = (Vec::new(), String::new(), String::new());
    let body = part.body();
    let mut at = body.start;
    loop {
        let end = body.end.min(at.saturating_add(PIECE));
        bytes.clear();
        decoded.clear();
        if at < end {
            transfer.push(&reader.read(at..end).await?, &mut bytes);
        }
        at = end;
        let last = at >= body.end;
        if last {
            transfer.finish(&mut bytes);
        }
        decoder.push(&bytes, last, &mut decoded);
        fold(&decoded, &mut folded);
        look_folded(&folded, needles, hits);
        if last || hits.0.iter().all(|hit| *hit) {
            return Ok(());
        }
        // A text may begin in this piece and end in the next.
        let keep = folded.len().saturating_sub(longest);
        folded.drain(..folded.floor_char_boundary(keep));
        tokio::task::yield_now().await;
    }
}
