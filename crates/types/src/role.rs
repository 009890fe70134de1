//! What a node of the cluster does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A part of the work. A node holds metadata, serves clients, or does both; or it is
/// a witness and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Holds a replica of the metadata and votes.
    Meta,
    /// Serves clients.
    Frontend,
    /// Holds a replica of the metadata and votes, but serves nobody, does no work for
    /// the others and does not stay leader.
    Witness,
}

/// The word names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role: use \"meta\", \"frontend\" or both, or \"witness\"")]
pub struct RoleError(String);

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Meta, Self::Frontend, Self::Witness];
    /// Those of a node that does everything.
    pub const FULL: [Self; 2] = [Self::Meta, Self::Frontend];

    /// Whether it brings a replica of the metadata and a vote with it.
    pub fn votes(self) -> bool {
        matches!(self, Self::Meta | Self::Witness)
    }

    /// As the settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Frontend => "frontend",
            Self::Witness => "witness",
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
