//! One node of a cluster under test.

use std::ops::{Deref, DerefMut};
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::place::Place;
use crate::process::{Addresses, Process};

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roles {
    /// Metadata and mail.
    Both,
    /// Metadata alone.
    Meta,
    /// Mail alone.
    Frontend,
    /// A vote alone.
    Witness,
}

impl Roles {
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::Both => r#"["meta", "frontend"]"#,
            Self::Meta => r#"["meta"]"#,
            Self::Frontend => r#"["frontend"]"#,
            Self::Witness => r#"["witness"]"#,
        }
    }

    /// Whether such a node serves mail.
    pub fn is_mail(self) -> bool {
        matches!(self, Self::Both | Self::Frontend)
    }

    /// Whether such a node has a copy of the metadata.
    pub fn is_meta(self) -> bool {
        self != Self::Frontend
    }
}

/// One node of a cluster.
pub struct Member {
    pub(super) process: Process,
    pub(super) id: u64,
    pub(super) roles: Roles,
    pub(super) removed: bool,
    pub(super) configured: Addresses,
    pub(super) place: Place,
}

impl Deref for Member {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Member {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Member {
    /// Its number within the cluster.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Where it listens if its roles let it, running or not.
    pub fn configured(&self) -> &Addresses {
        &self.configured
    }

    /// Its number, read again: it may have joined anew.
    pub fn number(&mut self) -> anyhow::Result<u64> {
        self.id = own_id(self)?;
        Ok(self.id)
    }

    /// Gives it another join secret from its next start on.
    pub fn set_join_secret(&mut self, file: &Path) {
        let file = file.to_string_lossy();
        self.process
            .set("POSTRIDER__CLUSTER__JOIN_SECRET_FILE", &file);
    }

    /// What it is for.
    pub fn roles(&self) -> Roles {
        self.roles
    }

    /// What it says of itself within the cluster.
    pub async fn cluster(&self) -> anyhow::Result<Value> {
        self.api("/v1/cluster").await
    }

    /// The index of the last entry that its state has, and a digest of the state.
    pub async fn hash(&self) -> anyhow::Result<(u64, String)> {
        let answer = self.api("/v1/cluster/hash").await?;
        let applied = answer["applied"].as_u64();
        let hash = answer["hash"].as_str();
        let both = applied.zip(hash.map(str::to_owned));
        both.with_context(|| format!("no hash in {answer}"))
    }
}

/// Runs `postrider cluster VERB --config FILE ...` on a node that does not run.
pub(super) async fn configured(
    member: &Member,
    verb: &[&str],
    rest: &[&str],
) -> anyhow::Result<String> {
    let file = member.dir().join("postrider.toml");
    let file = file.to_string_lossy();
    let arguments: Vec<&str> = ["cluster"]
        .iter()
        .chain(verb)
        .chain(&["--config", &*file])
        .chain(rest)
        .copied()
        .collect();
    let (status, printed) = member.tool(&arguments, b"").await?;
    ensure!(status.success(), "{arguments:?}: {status}: {printed}");
    Ok(printed)
}

/// The number in the identity that a node was given.
pub(super) fn own_id(member: &Member) -> anyhow::Result<u64> {
    let file = member.dir().join("data/cluster/identity.json");
    let identity: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let id = identity["node"].as_u64();
    id.with_context(|| format!("no node in {identity}"))
}
