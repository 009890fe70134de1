//! What the summary takes from the message's own header.

use bytes::Bytes;
use prost::Message as _;

use crate::summary::KeptHeader;
use crate::{Envelope, Summary, date, header, thread};

/// The longest header, or selection of common fields, that is kept.
const MAX_KEPT: usize = 16 * 1024;
/// The most bytes of the envelope.
const MAX_ENVELOPE: usize = 128 * 1024;
/// The most Delivered-To fields that are kept, and the longest.
const MAX_DELIVERED_TO: usize = 100;
const MAX_DELIVERED_TO_LENGTH: usize = 320;

/// How much of a header its block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// All of it.
    Complete,
    /// All fields that the summary is made from.
    Wanted,
    /// Less than that.
    Cut,
}

/// Fills `summary` from the header `block`.
pub(super) fn fill(summary: &mut Summary, block: &[u8], held: Held, header_length: u64) {
    summary.header_length = header_length;
    keep(summary, block, held);
    let mut references = None;
    for field in header::fields(block) {
        if field.is("received") {
            summary.received_count = summary.received_count.saturating_add(1);
        } else if field.is("references") && references.is_none() {
            references = Some(field.unfolded());
        } else if field.is("delivered-to") && summary.delivered_to.len() < MAX_DELIVERED_TO {
            let value = field.unfolded();
            if value.len() <= MAX_DELIVERED_TO_LENGTH {
                let text = String::from_utf8_lossy(&value).to_lowercase();
                summary.delivered_to.push(text);
            }
        }
    }
    let envelope = Envelope::read(block, &mut { MAX_ENVELOPE });
    summary.sent = envelope.date.as_deref().and_then(date::parse);
    summary.encoded_thread = thread::read(
        envelope.message_id.as_deref(),
        envelope.in_reply_to.as_deref(),
        references.as_deref(),
        envelope.subject.as_deref(),
    )
    .encode_to_vec()
    .into();
    summary.encoded_envelope = envelope.encode_to_vec().into();
}

fn keep(summary: &mut Summary, block: &[u8], held: Held) {
    if held == Held::Complete && block.len() <= MAX_KEPT {
        summary.header = Bytes::copy_from_slice(block);
        summary.set_kept(KeptHeader::Complete);
        return;
    }
    summary.set_kept(KeptHeader::Nothing);
    if held == Held::Cut {
        return;
    }
    let mut common = Vec::new();
    header::select(block, Summary::COMMON_FIELDS, false, &mut common);
    if common.len() <= MAX_KEPT {
        summary.header = common.into();
        summary.set_kept(KeptHeader::Common);
    }
}
