//! How a command stops early: refused by the domain, or by a broken store. Two
//! kinds that must not be confused, in one type so that `?` works for both.

use postrider_kv as kv;

use crate::api::Refusal;

/// Why a command stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The domain says no: the caller's verdict.
    Refused(Refusal),
    /// The store failed: no verdict.
    Store(kv::Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<kv::Error> for Stop {
    fn from(error: kv::Error) -> Self {
        Self::Store(error)
    }
}
