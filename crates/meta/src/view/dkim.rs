//! The keys that mail is signed with (DKIM, RFC 6376).

use std::fmt;

use bytes::Bytes;
use postrider_types::Millis;
use serde::{Deserialize, Serialize};

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DkimAlgorithm {
    /// `rsa-sha256` (RFC 6376 §3.3.1).
    RsaSha256,
    /// `ed25519-sha256` (RFC 8463).
    Ed25519Sha256,
}

/// What a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DkimState {
    /// Its record is to be published; nothing is signed with it yet.
    Pending,
    /// Mail is signed with it.
    Active,
    /// Nothing is signed with it any more; its record stays until the mail that
    /// it signed has been read.
    Retired,
}

/// A key of a domain. Whoever has the private part can sign in the domain's
/// name: it is never logged, and `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DkimKey {
    /// Under which its record is published: 1 to 63 letters, digits, hyphens and
    /// dots, in lower case.
    pub selector: String,
    /// How it signs.
    pub algorithm: DkimAlgorithm,
    /// The private key, PKCS#8, up to 16 KiB.
    pub private: Bytes,
    /// The public key as it is published, up to 4 KiB.
    pub public: Bytes,
    /// What it is used for.
    pub state: DkimState,
    /// When it was made.
    pub created: Millis,
}

impl DkimKey {
    /// What tells whether it was changed: all else stays as it was made.
    pub fn known(&self) -> (String, DkimState) {
        (self.selector.clone(), self.state)
    }
}

impl fmt::Debug for DkimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DkimKey")
            .field("selector", &self.selector)
            .field("algorithm", &self.algorithm)
            .field("state", &self.state)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}
