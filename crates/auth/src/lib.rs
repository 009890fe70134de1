//! Logins of all protocols: verification, throttling, password hashing.
//!
//! One [`Authenticator`] serves the whole node. It asks `meta` for the verifier
//! on each login, hashes off the async threads, slows and limits failures, and
//! tells nobody whether a login exists.

mod password;
mod settings;
mod throttle;
mod verify;

pub use password::{PasswordError, hash_password, hash_password_blocking};
pub use settings::Settings;
pub use verify::{Authenticator, ClosedReason, Failure, Login};
