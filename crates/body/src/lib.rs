//! Message bodies between metadata and objects: taking one in ([`Intake`]),
//! reading it ([`Reader`]), moving small ones into packs ([`Packer`]), removing
//! what nobody knows any more ([`Sweeper`]), comparing all of it ([`Verifier`]).
//!
//! Owns the stored form of a body (compression, blocks, checksums) and the keys
//! of its objects. Knows no protocol; what is known about a body changes by
//! metadata commands alone.

mod background;
mod blocks;
mod bodies;
mod codec;
mod error;
mod intake;
mod key;
mod ownership;
mod packer;
mod reader;
mod settings;
mod sweeper;
mod verifier;

pub use bodies::Bodies;
pub use error::Error;
pub use intake::Intake;
pub use ownership::OwnershipError;
pub use packer::{Packed, Packer};
pub use reader::Reader;
pub use settings::Settings;
pub use sweeper::{Needed, Sweeper, Swept};
pub use verifier::{Verified, Verifier};
