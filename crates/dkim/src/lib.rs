//! DKIM (RFC 6376, RFC 8463): the keys of a domain, the signatures of its mail,
//! and the DNS records that it publishes.
//!
//! Owns the making and reading of keys ([`Key`]), the streaming signature of a
//! message ([`Signer`]) and the texts of the records ([`records`]). Does no I/O,
//! stores no key, never holds a body, and verifies nothing: incoming signatures
//! are judged elsewhere.

pub mod records;

mod body;
mod error;
mod field;
mod header;
mod key;
mod signer;

pub use error::Error;
pub use header::{MAX_SIGNED_FIELDS, MAX_SIGNED_HEADER};
pub use key::{Algorithm, Key, SelectedKey};
pub use signer::Signer;
