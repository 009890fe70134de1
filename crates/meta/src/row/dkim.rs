//! Rows of the keys that mail is signed with.

use std::fmt;

use bytes::Bytes;
use postrider_types::Millis;

use crate::view::{self, DkimAlgorithm, DkimState};

/// The keys of a domain; never none.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DkimKeys {
    /// They.
    #[prost(message, repeated, tag = "1")]
    pub(crate) keys: Vec<DkimKey>,
}

/// One of [`DkimKeys`]. `Debug` leaves the private key out.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct DkimKey {
    /// Its selector.
    #[prost(string, tag = "1")]
    pub(crate) selector: String,
    /// 0 RSA, 1 Ed25519.
    #[prost(uint32, tag = "2")]
    pub(crate) algorithm: u32,
    /// PKCS#8.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) private: Bytes,
    /// As it is published.
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) public: Bytes,
    /// 0 pending, 1 active, 2 retired.
    #[prost(uint32, tag = "5")]
    pub(crate) state: u32,
    /// When it was made.
    #[prost(uint64, tag = "6")]
    pub(crate) created: u64,
}

impl fmt::Debug for DkimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DkimKey")
            .field("selector", &self.selector)
            .finish_non_exhaustive()
    }
}

impl DkimKeys {
    /// The row of a domain's keys.
    pub(crate) fn new(keys: Vec<view::DkimKey>) -> Self {
        let key = |key: view::DkimKey| DkimKey {
            selector: key.selector,
            algorithm: match key.algorithm {
                DkimAlgorithm::RsaSha256 => 0,
                DkimAlgorithm::Ed25519Sha256 => 1,
            },
            private: key.private,
            public: key.public,
            state: match key.state {
                DkimState::Pending => 0,
                DkimState::Active => 1,
                DkimState::Retired => 2,
            },
            created: key.created.0,
        };
        Self {
            keys: keys.into_iter().map(key).collect(),
        }
    }

    /// The keys as queries show them. Those of an algorithm that this version does
    /// not know are left out.
    pub(crate) fn view(self) -> Vec<view::DkimKey> {
        self.keys.into_iter().filter_map(DkimKey::view).collect()
    }
}

impl DkimKey {
    fn view(self) -> Option<view::DkimKey> {
        Some(view::DkimKey {
            selector: self.selector,
            algorithm: match self.algorithm {
                0 => DkimAlgorithm::RsaSha256,
                1 => DkimAlgorithm::Ed25519Sha256,
                _ => return None,
            },
            private: self.private,
            public: self.public,
            state: match self.state {
                1 => DkimState::Active,
                2 => DkimState::Retired,
                // Also what a later version may mean: nothing is signed with it.
                _ => DkimState::Pending,
            },
            created: Millis(self.created),
        })
    }
}
