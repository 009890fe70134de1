//! RFC 5322 and MIME: the [`Summary`] that is kept of each message, notices about
//! deliveries ([`report`]), conversion to 7 bits ([`seven_bit`]), and helpers around
//! header fields, dates, encodings and parts.
//!
//! Owns the incremental scan of a message ([`Summarizer`]) and the stored form of
//! its result. Does no I/O, never holds a body, and takes any bytes: a broken
//! message gets a summary as well.

pub mod date;
pub mod encode;
pub mod header;
pub mod report;
pub mod seven_bit;
pub mod text;
pub mod thread;
pub mod tls_report;
pub mod transfer;

mod address;
mod envelope;
mod list_fields;
mod mime;
mod part;
mod scan;
mod selector;
mod summary;

pub use envelope::{Address, Envelope};
pub use list_fields::ListFieldRemover;
pub use part::{Disposition, Param, Part};
pub use scan::{MAX_DEPTH, MAX_HEADER, MAX_PART_HEADER, MAX_PARTS, Summarizer};
pub use selector::FieldSelector;
pub use summary::{Error, KeptHeader, SentDate, Summary, Thread};
