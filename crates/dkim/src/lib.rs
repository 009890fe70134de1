//! DKIM (RFC 6376, RFC 8463): the keys of a domain, the signatures of its mail,
//! the seals on what it forwards (ARC, RFC 8617), and the DNS records that it
//! publishes.
//!
//! Owns the making and reading of keys ([`Key`]), the streaming signature of a
//! message ([`Signer`], [`Sealer`]) and the texts of the records ([`records`]). Does no I/O,
//! stores no key, never holds a body, and verifies nothing: incoming signatures
//! are judged elsewhere.

pub mod records;

mod body;
mod error;
mod field;
mod header;
mod key;
mod sealer;
mod signer;

pub use error::Error;
pub use header::{MAX_SIGNED_FIELDS, MAX_SIGNED_HEADER};
pub use key::{Algorithm, Key, SelectedKey};
pub use sealer::{Chain, MAX_INSTANCE, Sealer};
pub use signer::Signer;
