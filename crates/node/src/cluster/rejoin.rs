//! `postrider cluster rejoin`: a node that cannot use its metadata any more (its
//! log is damaged or lost) takes its own place anew, as a new node with the address
//! of the old one.
//!
//! What makes it safe: a voter that has forgotten what it acknowledged must never
//! vote again under its number. So that number is given up first, for ever, and
//! only once a majority of the others has answered, which has everything that was
//! ever acknowledged. Nothing is removed: the old metadata and the old identity are
//! set aside.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use postrider_meta::{Client, ReadAt, query};
use postrider_meta_raft as raft;
use postrider_rpc::{Channels, Timeouts};
use postrider_types::{Clock as _, Role, SystemClock};

use super::identity::{self, Identity};
use super::{join, token};
use crate::dir;
use crate::random::ThreadRandom;
use crate::settings::Settings;

/// How long the others may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the token is good that is made for this.
const TOKEN_AGE: Duration = Duration::from_secs(600);
/// What is set aside of the metadata.
const METADATA: [&str; 3] = ["log", "state", "snapshots"];
/// The names of what is set aside begin so.
const ASIDE: &str = "set-aside-";

/// The error itself where a start that failed with it may be followed by [`rejoin`]
/// without anybody being asked: the metadata here are damaged, this is a node of a
/// cluster, and it did not do so before. A disk that damages what is written over and
/// over needs a person: the failure says so then.
pub(crate) fn may_rejoin(
    error: anyhow::Error,
    settings: &Settings,
) -> anyhow::Result<anyhow::Error> {
    let damaged = error.chain().any(|cause| {
        matches!(
            cause.downcast_ref::<raft::Error>(),
            Some(raft::Error::Damaged { .. } | raft::Error::Unrecoverable { .. })
        )
    });
    let identity = Identity::load(&settings.data_dir);
    let member = settings.cluster.is_some() && identity.is_ok_and(|identity| identity.is_some());
    if !damaged || !member {
        return Err(error);
    }
    let earlier = all_set_aside(&settings.metadata().dir);
    if earlier.is_empty() {
        return Ok(error);
    }
    let earlier: Vec<String> = earlier.iter().map(|it| it.display().to_string()).collect();
    Err(error.context(format!(
        "this node was made anew before, and does not do so by itself while what was set aside \
         then is still there ({}): a disk that damages once does so again. Look at the disk and \
         at the log of the system, then move that away and start the node again",
        earlier.join(", ")
    )))
}

/// Whether [`rejoin`] was interrupted: this node has given up what it was, and is
/// nothing new yet.
pub(crate) fn was_interrupted(settings: &Settings) -> anyhow::Result<bool> {
    let asked = settings.cluster.is_some() && settings.votes();
    Ok(asked
        && Identity::load(&settings.data_dir)?.is_none()
        && earlier_identity(&settings.data_dir)?.is_some())
}

/// Makes the node new. Its new identity is in the folder then. May be repeated
/// after an interruption.
pub(crate) async fn rejoin(settings: &Settings) -> anyhow::Result<Identity> {
    if !settings.votes() {
        bail!("this node holds no metadata: there is nothing to make anew");
    }
    let token = {
        let _lock = dir::lock(&settings.data_dir)?;
        let old = old_identity(settings)?;
        let token = token_of_others(&old).await.with_context(|| {
            format!(
                "node {} can be made anew only while a majority of the nodes with metadata \
                 answers without it; nothing was changed. If none of them has its metadata any \
                 more, `postrider recover` builds the cluster again from the bucket",
                old.facts.node
            )
        })?;
        give_up(settings)?;
        token
    };
    let token: postrider_rpc::Token = token.parse()?;
    let joined = join::join(settings, &token).await;
    joined.context(
        "the old metadata and identity are set aside, and this node did not join yet: run \
         `postrider cluster rejoin` again",
    )
}

/// The identity in use, or the one that was set aside last. The others know it.
fn old_identity(settings: &Settings) -> anyhow::Result<Identity> {
    let data = &settings.data_dir;
    let usable = || {
        identity::mend(data)?;
        let found = match Identity::load(data)? {
            None => earlier_identity(data)?,
            found => found,
        };
        if let Some(identity) = &found {
            identity.check()?;
        }
        anyhow::Ok(found)
    };
    let found = usable().with_context(|| {
        format!(
            "the identity of this node cannot be used, so that the others cannot be asked; nothing \
             was changed. Put the files in {} (node.pem, node.key, ca.pem, identity.json) back \
             from a copy. Without one empty the data folder and join this machine again under its \
             address, with a token of another node (`postrider cluster token` there, `postrider \
             cluster join` here): it takes its old place",
            identity::path(data).display()
        )
    })?;
    found.context(
        "this folder belongs to no node of a cluster: join one with `postrider cluster join`",
    )
}

/// The identity that was set aside last.
fn earlier_identity(data_dir: &Path) -> anyhow::Result<Option<Identity>> {
    let aside = set_aside(data_dir);
    let earlier = aside.map(|dir| Identity::load_from(&dir)).transpose()?;
    Ok(earlier.flatten())
}

/// Asks the others, in the name of the node that this was, for a join token. That
/// they can make one shows that a majority answers without this node.
async fn token_of_others(old: &Identity) -> anyhow::Result<String> {
    let channels = Channels::new(old.tls()?, Timeouts::default());
    let members = old.facts.members.clone();
    let others = Arc::new(raft::Remote::new(channels, members, PATIENCE));
    let meta = Client::new(others, Arc::new(SystemClock), Arc::new(ThreadRandom));
    let nodes = meta.ask(query::Nodes {}, ReadAt::Latest).await?.0;
    let me = nodes.iter().find(|node| node.id == old.facts.node);
    if me.is_none_or(|node| node.removed.is_some()) {
        bail!(
            "node {} was removed from the cluster: empty the data folder and join it again with a \
             token",
            old.facts.node
        );
    }
    let authority = meta.ask(query::Authority {}, ReadAt::Latest).await?.0;
    let authority = authority.context("the metadata know no cluster")?;
    let authority = postrider_rpc::Authority::from_pem(&authority.certificate, &authority.key)?;
    let holders = nodes.iter().filter(|node| {
        node.id != old.facts.node && node.removed.is_none() && node.roles.contains(&Role::Meta)
    });
    let addresses = holders.map(|node| node.address.clone()).collect();
    token::issue(&meta, &authority, TOKEN_AGE, 1, addresses).await
}

/// Sets the identity aside, then the metadata: from the first moment on nobody votes
/// here under the old number.
fn give_up(settings: &Settings) -> anyhow::Result<()> {
    let name = format!("{ASIDE}{}", SystemClock.now().0);
    let old = identity::path(&settings.data_dir);
    // Without one there may be a request under way, which is to go on.
    if Identity::load(&settings.data_dir)?.is_some() {
        let aside = settings.data_dir.join(&name);
        rename(&old, &aside)?;
        sync(&settings.data_dir)?;
    }
    let metadata = settings.metadata().dir;
    let parts = METADATA.map(|part| metadata.join(part));
    if parts.iter().any(|part| part.exists()) {
        let aside = metadata.join(&name);
        dir::make(&aside)?;
        for part in parts.iter().filter(|part| part.exists()) {
            let to = aside.join(part.file_name().unwrap_or_default());
            rename(part, &to)?;
        }
        sync(&metadata)?;
    }
    Ok(())
}

/// What was set aside last in `dir`.
fn set_aside(dir: &Path) -> Option<PathBuf> {
    all_set_aside(dir).pop()
}

/// All that was set aside in `dir`, the last at the end.
fn all_set_aside(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let aside = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(ASIDE))
    };
    let mut found: Vec<PathBuf> = paths.filter(aside).collect();
    found.sort_unstable();
    found
}

fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot set {} aside", from.display()))
}

fn sync(dir: &Path) -> anyhow::Result<()> {
    let synced = fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.with_context(|| format!("cannot sync {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use postrider_rpc::{Authority, KeyRequest};

    use super::*;

    #[test]
    fn all_is_set_aside_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        let settings = Settings {
            data_dir: data.to_owned(),
            cluster: Some(crate::settings::Cluster::default()),
            ..Settings::default()
        };
        let metadata = settings.metadata().dir;
        for part in METADATA {
            fs::create_dir_all(metadata.join(part)).unwrap();
        }
        // Without an identity it is nobody's place to take.
        may_rejoin(damaged(), &settings).unwrap_err();
        assert!(!was_interrupted(&settings).unwrap());
        identity().write(data).unwrap();
        may_rejoin(damaged(), &settings).unwrap();
        assert!(!was_interrupted(&settings).unwrap());
        // What is no damage is nobody's reason.
        may_rejoin(anyhow::anyhow!("the port is taken"), &settings).unwrap_err();

        give_up(&settings).unwrap();
        assert!(METADATA.iter().all(|part| !metadata.join(part).exists()));
        assert!(!identity::path(data).exists() && was_interrupted(&settings).unwrap());
        let aside = set_aside(&metadata).unwrap();
        assert!(METADATA.iter().all(|part| aside.join(part).exists()));
        // Again after an interruption: a request that is under way goes on.
        let pending = identity::folder(data).unwrap().join("joining.json");
        fs::write(&pending, "{}").unwrap();
        give_up(&settings).unwrap();
        assert!(pending.exists());
        assert_eq!(set_aside(&metadata).unwrap(), aside);
        assert_eq!(old_identity(&settings).unwrap().facts, identity().facts);
    }

    #[test]
    fn a_second_damage_names_what_lies_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            data_dir: dir.path().to_owned(),
            cluster: Some(crate::settings::Cluster::default()),
            ..Settings::default()
        };
        identity().write(dir.path()).unwrap();
        let metadata = settings.metadata().dir;
        let aside = ["set-aside-1", "set-aside-2"].map(|name| metadata.join(name));
        for dir in &aside {
            fs::create_dir_all(dir).unwrap();
        }
        let refused = format!("{:#}", may_rejoin(damaged(), &settings).unwrap_err());
        for dir in &aside {
            let path = dir.display().to_string();
            assert!(refused.contains(&path), "{refused}");
        }
        for part in ["Look at the disk", "move that away", "cannot be rebuilt"] {
            assert!(refused.contains(part), "{refused}");
        }
        // It does what it says.
        for dir in &aside {
            fs::remove_dir(dir).unwrap();
        }
        may_rejoin(damaged(), &settings).unwrap();
    }

    fn damaged() -> anyhow::Error {
        anyhow::Error::from(raft::Error::Unrecoverable {
            path: "log".into(),
            reason: "test".into(),
        })
    }

    #[tokio::test]
    async fn an_identity_that_cannot_be_used_is_no_missing_majority() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            data_dir: dir.path().to_owned(),
            cluster: Some(crate::settings::Cluster::default()),
            ..Settings::default()
        };
        let authority = Authority::new(&"0".repeat(32)).unwrap();
        let (old, new) = (identity_of(&authority), identity_of(&authority));
        let file = |name: &str| identity::path(dir.path()).join(name);
        old.write(dir.path()).unwrap();
        // A renewal that was interrupted between certificate and key is ended first.
        fs::write(file("node.key.next"), &new.key).unwrap();
        fs::write(file("node.pem"), &new.certificate).unwrap();
        assert_eq!(old_identity(&settings).unwrap().key, new.key);

        let damaged = new.certificate.replacen("MII", "M~I", 1);
        for (name, wrong) in [
            ("node.pem", damaged.as_bytes()),
            ("node.pem", b"-----BEGIN \xff\xfe"),
            ("node.pem", b""),
            // Of another authority, as a wrong signature is.
            ("node.pem", identity().certificate.as_bytes()),
            ("node.key", old.key.as_bytes()),
            ("identity.json", b"{"),
        ] {
            new.write(dir.path()).unwrap();
            fs::write(file(name), wrong).unwrap();
            let refused = rejoin(&settings).await.err().unwrap();
            let refused = format!("{refused:#}");
            for part in ["cannot be used", "node.pem", "postrider cluster join"] {
                assert!(refused.contains(part), "{name}: {refused}");
            }
            assert!(!refused.contains("majority"), "{name}: {refused}");
            assert!(file("identity.json").exists());
        }
    }

    fn identity() -> Identity {
        identity_of(&Authority::new(&"0".repeat(32)).unwrap())
    }

    fn identity_of(authority: &Authority) -> Identity {
        let request = KeyRequest::new().unwrap();
        let certificate = authority.issue(&request.signing_request, 3, &[]);
        Identity {
            facts: identity::Facts {
                cluster: authority.cluster().to_owned(),
                node: postrider_types::NodeId(3),
                address: "mail3.example.test:7425".into(),
                roles: vec![Role::Meta],
                members: Vec::new(),
                begun: true,
            },
            authority: authority.certificate().to_owned(),
            certificate: certificate.unwrap(),
            key: request.key,
        }
    }
}
