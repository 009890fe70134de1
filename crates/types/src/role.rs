//! What a node of the cluster does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A part of the work. A node has one or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Holds a replica of the metadata and votes.
    Meta,
    /// Serves clients.
    Frontend,
}

/// The word names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role: use \"meta\", \"frontend\" or both")]
pub struct RoleError(String);

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Meta, Self::Frontend];

    /// As the settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Frontend => "frontend",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| RoleError(text.to_owned()))
    }
}
