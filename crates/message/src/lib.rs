//! RFC 5322 and MIME: the [`Summary`] that is kept of each message, and helpers
//! around header fields, dates, encodings and parts.
//!
//! Owns the incremental scan of a message ([`Summarizer`]) and the stored form of
//! its result. Does no I/O, never holds a body, and takes any bytes: a broken
//! message gets a summary as well.

mod envelope;
mod part;
mod summary;

pub use envelope::{Address, Envelope};
pub use part::{Disposition, Param, Part};
pub use summary::{Error, KeptHeader, SentDate, Summary, Thread};
