//! The value of `/v1/verify/{part}`.

use serde::{Deserialize, Serialize};

/// What one step found.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Verified {
    /// Each difference in words.
    pub(crate) problems: Vec<String>,
    /// Objects that nobody knows and that wait for the sweep.
    pub(crate) waiting: Vec<String>,
    /// What was looked at.
    pub(crate) checked: u64,
    /// Bytes that were read.
    pub(crate) bytes: u64,
    /// Ask again with `?after=` this; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) next: Option<String>,
}
