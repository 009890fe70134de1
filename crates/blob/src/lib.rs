//! Write-once objects: streaming put, range reads through a bounded cache,
//! retries, and the knowledge whether the object store answers.
//!
//! Owns every request to the object store, be it S3 or a local folder. Knows
//! nothing of what the objects hold: no message, no metadata.

mod cache;
mod error;
mod health;
mod memory;
mod register;
mod remnants;
mod request;
mod settings;
mod store;
mod upload;

pub use error::Error;
pub use register::Version;
pub use settings::{S3, Secret, Settings};
pub use store::{Backend, Listed, Store};
pub use upload::Upload;
