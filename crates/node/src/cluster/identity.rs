//! What makes this data folder a node of a cluster: `DATA/cluster/` with its
//! certificate, its key, the authority's certificate, and `identity.json`.
//!
//! `identity.json` comes last and makes the others count. Nothing here is ever
//! given to another node.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use postrider_net::TlsSettings;
use postrider_types::{NodeId, Role};
use serde::{Deserialize, Serialize};

use crate::dir;

/// The folder in the data folder.
const DIR: &str = "cluster";
/// The authority's certificate.
const AUTHORITY: &str = "ca.pem";
/// The node's certificate.
const CERTIFICATE: &str = "node.pem";
/// Its private key.
const KEY: &str = "node.key";
/// The key of the next certificate, until that is there.
const NEXT_KEY: &str = "node.key.next";
/// The rest.
const FACTS: &str = "identity.json";

/// What `identity.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// The cluster's id: 32 hexadecimal digits.
    pub(crate) cluster: String,
    /// This node's id.
    pub(crate) node: NodeId,
    /// HOST:PORT at which others reached it when this was written.
    pub(crate) address: String,
    /// What it did when this was written.
    pub(crate) roles: Vec<Role>,
    /// HOST:PORT of nodes with metadata, to begin with.
    pub(crate) members: Vec<String>,
    /// It has begun a replica of the metadata: if that is missing, it is lost.
    #[serde(default)]
    pub(crate) begun: bool,
}

/// A node's identity.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) facts: Facts,
    /// PEM.
    pub(crate) authority: String,
    /// PEM.
    pub(crate) certificate: String,
    /// PEM.
    pub(crate) key: String,
}

impl Identity {
    /// The identity in the data folder, if there is one.
    pub(crate) fn load(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        Self::load_from(&data_dir.join(DIR))
    }

    /// The identity in `dir`, if there is one.
    pub(crate) fn load_from(dir: &Path) -> anyhow::Result<Option<Self>> {
        let read = |name: &str| {
            let file = dir.join(name);
            let text = fs::read_to_string(&file);
            text.with_context(|| format!("cannot read {}", file.display()))
        };
        let file = dir.join(FACTS);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", file.display())),
        };
        let facts: Facts = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is damaged: restore it, or remove this node from the cluster and join it \
                 again with an empty data folder",
                file.display()
            )
        })?;
        Ok(Some(Self {
            facts,
            authority: read(AUTHORITY)?,
            certificate: read(CERTIFICATE)?,
            key: read(KEY)?,
        }))
    }

    /// Makes the data folder this node's, durably.
    pub(crate) fn write(&self, data_dir: &Path) -> anyhow::Result<()> {
        let dir = folder(data_dir)?;
        dir::replace(&dir.join(AUTHORITY), self.authority.as_bytes())?;
        self.write_certificate(data_dir)?;
        self.write_facts(data_dir)
    }

    /// Writes certificate and key. Whenever it is interrupted, [`mend`] finds two that
    /// belong together.
    pub(crate) fn write_certificate(&self, data_dir: &Path) -> anyhow::Result<()> {
        let dir = data_dir.join(DIR);
        dir::replace(&dir.join(NEXT_KEY), self.key.as_bytes())?;
        dir::replace(&dir.join(CERTIFICATE), self.certificate.as_bytes())?;
        dir::rename(&dir.join(NEXT_KEY), &dir.join(KEY))
    }

    /// Writes what may change: `identity.json`.
    pub(crate) fn write_facts(&self, data_dir: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(&self.facts).context("cannot write JSON")?;
        dir::replace(&data_dir.join(DIR).join(FACTS), &text)
    }

    /// What it shows to the others, and knows them by.
    fn shown(&self) -> postrider_rpc::Identity {
        postrider_rpc::Identity {
            ca: self.authority.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        }
    }

    /// Refuses one that the others would not take for a node of their cluster.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        Ok(postrider_rpc::check_identity(&self.shown())?)
    }

    /// How nodes talk to each other.
    pub(crate) fn tls(&self) -> anyhow::Result<postrider_rpc::Tls> {
        let tls = postrider_rpc::Tls::mutual(&self.shown());
        tls.with_context(|| {
            format!(
                "the certificate of node {} in {DIR}/ of its data folder is damaged: restore it, \
                 or remove this node from the cluster and join it again with an empty data folder",
                self.facts.node
            )
        })
    }
}

/// Ends a renewal that was interrupted between certificate and key.
pub(crate) fn mend(data_dir: &Path) -> anyhow::Result<()> {
    let dir = data_dir.join(DIR);
    let next = dir.join(NEXT_KEY);
    // Without the facts a first certificate is under way, and no renewal.
    if !next.exists() || !dir.join(FACTS).exists() {
        return Ok(());
    }
    let read = |file: &Path| {
        let text = fs::read_to_string(file);
        text.with_context(|| format!("cannot read {}", file.display()))
    };
    if postrider_rpc::belong_together(&read(&dir.join(CERTIFICATE))?, &read(&next)?) {
        return dir::rename(&next, &dir.join(KEY));
    }
    let removed = fs::remove_file(&next);
    removed.with_context(|| format!("cannot remove {}", next.display()))
}

/// Removes the identity, durably: the folder belongs to no cluster then.
pub(crate) fn forget(data_dir: &Path) -> anyhow::Result<()> {
    let dir = data_dir.join(DIR);
    // The facts first: without them the rest counts for nothing.
    for done in [
        fs::remove_file(dir.join(FACTS)),
        fs::remove_dir_all(&dir),
        dir::sync(data_dir),
    ] {
        match done {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(e).with_context(|| format!("cannot remove {}", dir.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where it lies, whether it is there or not.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(DIR)
}

/// The folder, made where it is missing.
pub(crate) fn folder(data_dir: &Path) -> anyhow::Result<PathBuf> {
    let dir = data_dir.join(DIR);
    dir::make(&dir)?;
    Ok(dir)
}

/// The node's certificate for listeners that have none of their own.
pub(crate) fn listener_certificate(data_dir: &Path) -> TlsSettings {
    let dir = data_dir.join(DIR);
    TlsSettings {
        certificate: dir.join(CERTIFICATE),
        key: dir.join(KEY),
        handshake_timeout: Duration::from_secs(10),
    }
}

/// The authority's certificate: what clients of such listeners trust.
pub(crate) fn authority_file(data_dir: &Path) -> PathBuf {
    data_dir.join(DIR).join(AUTHORITY)
}

/// The identity that goes with the settings: both are there or neither.
pub(crate) fn of(settings: &crate::Settings) -> anyhow::Result<Option<Identity>> {
    mend(&settings.data_dir)?;
    let identity = Identity::load(&settings.data_dir)?;
    let dir = settings.data_dir.display();
    let Some(identity) = identity else {
        if settings.cluster.is_some() {
            bail!(
                "this node belongs to no cluster yet. Begin one here with `postrider cluster init \
                 --config FILE`, or join one: get a token with `postrider cluster token` on a \
                 node of it, then `postrider cluster join --config FILE TOKEN` here. A node that \
                 shall stand alone has no [cluster] section"
            );
        }
        return Ok(None);
    };
    if settings.cluster.is_none() {
        bail!(
            "{dir} belongs to node {} of a cluster, but the settings have no [cluster] section: \
             add it, with the address at which the other nodes reach this one (it was {})",
            identity.facts.node,
            identity.facts.address
        );
    }
    let held = |role: Role| identity.facts.roles.contains(&role);
    if let Some(role) = [Role::Meta, Role::Witness]
        .into_iter()
        .find(|role| held(*role))
        && !settings.has(Role::Meta)
        && !settings.has(role)
    {
        bail!(
            "this node holds metadata, so the role \"{role}\" cannot be taken from it: remove it \
             with `postrider cluster remove {}` on another node and join it again with an empty \
             data folder",
            identity.facts.node
        );
    }
    Ok(Some(identity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    fn identity() -> Identity {
        Identity {
            facts: Facts {
                cluster: "0123456789abcdef0123456789abcdef".into(),
                node: NodeId(3),
                address: "mail3:7425".into(),
                roles: Role::FULL.to_vec(),
                members: vec!["mail1:7425".into()],
                begun: true,
            },
            authority: "authority".into(),
            certificate: "certificate".into(),
            key: "key".into(),
        }
    }

    #[test]
    fn it_is_read_as_it_was_written_and_its_key_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        assert!(Identity::load(dir.path()).unwrap().is_none());
        let written = identity();
        written.write(dir.path()).unwrap();
        let read = Identity::load(dir.path()).unwrap().unwrap();
        assert_eq!(read.facts, written.facts);
        assert_eq!(
            (read.authority, read.certificate, read.key),
            (written.authority, written.certificate, written.key)
        );
        let key = dir.path().join(DIR).join(KEY);
        let mode = fs::metadata(key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_renewal_that_is_interrupted_leaves_a_key_that_fits() {
        let authority = postrider_rpc::Authority::new(&identity().facts.cluster).unwrap();
        let certified = || {
            let request = postrider_rpc::KeyRequest::new().unwrap();
            let certificate = authority.issue(&request.signing_request, 3, &[]);
            Identity {
                certificate: certificate.unwrap(),
                key: request.key,
                ..identity()
            }
        };
        let (old, new) = (certified(), certified());
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(DIR).join(name);
        let fits = |expected: &Identity| {
            mend(dir.path()).unwrap();
            let read = Identity::load(dir.path()).unwrap().unwrap();
            assert_eq!(read.certificate, expected.certificate);
            assert_eq!(read.key, expected.key);
            assert!(!file(NEXT_KEY).exists());
        };
        old.write(dir.path()).unwrap();
        fits(&old);
        fs::write(file(NEXT_KEY), &new.key).unwrap();
        fits(&old);
        fs::write(file(NEXT_KEY), &new.key).unwrap();
        fs::write(file(CERTIFICATE), &new.certificate).unwrap();
        fits(&new);
    }

    #[test]
    fn an_interrupted_write_is_no_identity() {
        let dir = tempfile::tempdir().unwrap();
        identity().write(dir.path()).unwrap();
        fs::remove_file(dir.path().join(DIR).join(FACTS)).unwrap();
        assert!(Identity::load(dir.path()).unwrap().is_none());
    }

    #[test]
    fn settings_and_identity_go_together() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings {
            data_dir: dir.path().to_owned(),
            ..Settings::default()
        };
        let refused = |settings: &Settings| of(settings).map(|_| ()).unwrap_err().to_string();
        assert!(of(&settings).unwrap().is_none());
        settings.cluster = Some(crate::settings::Cluster::default());
        assert!(refused(&settings).contains("cluster init"));
        identity().write(dir.path()).unwrap();
        assert!(of(&settings).unwrap().is_some());
        settings.roles = vec![Role::Frontend];
        assert!(refused(&settings).contains("cluster remove 3"));
        settings.cluster = None;
        assert!(refused(&settings).contains("add it"));
    }
}
