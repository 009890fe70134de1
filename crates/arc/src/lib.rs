//! What a forwarder finds out about a message before it seals it (ARC, RFC 8617):
//! whether the client was allowed to send it (SPF), whose signatures are good
//! (DKIM), what the author's domain says of that (DMARC), and whether the sets of
//! those who forwarded it before are valid.
//!
//! Owns the judgement ([`Judge`]) and its text. Makes no signature, which is
//! `dkim`'s, refuses no mail, and stores nothing.

mod judge;
mod results;

pub use judge::{Arrival, Judge, Judged, Verdict};
