//! Snapshots in the object store: a copy from which a new or lagging member
//! loads the state without burdening the leader, and from which the cluster can
//! be restored. Nothing that was acknowledged lies here alone.
//!
//! An object is a snapshot file as it is. Its key holds the term and index of
//! the last entry in it, so that listing them is enough to find the newest.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use postrider_blob::Store;
use tokio::time::timeout;

use crate::blocking;
use crate::error::{Error, Result};
use crate::raft::{LogId, log_id, term};
use crate::snapshot::Stored;

/// Bytes that are read or written at once.
const PART: u64 = 4 << 20;
/// So many snapshots are kept: the one before the newest may be in use.
const KEPT: usize = 2;
/// A look at what there is may take this long; nobody waits longer for a store
/// that is away.
const LOOK: Duration = Duration::from_secs(5);

/// The snapshots of one cluster in the object store. Cheap to clone.
#[derive(Clone)]
pub struct Archive {
    store: Arc<Store>,
    prefix: String,
}

/// A snapshot in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Archived {
    /// Its object.
    pub(crate) key: String,
    /// The last entry in it.
    pub(crate) id: LogId,
    /// Its length.
    pub(crate) bytes: u64,
}

impl Archive {
    /// The snapshots below `prefix`, in which the cluster's id must occur: a
    /// snapshot of another cluster is never to be found there.
    pub fn new(store: Arc<Store>, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        Self {
            store,
            prefix: prefix.trim_matches('/').to_owned(),
        }
    }

    /// Where else something of this cluster lies: the store, and a prefix below
    /// `name` that names the cluster as this one does.
    pub(crate) fn beside(&self, name: &str) -> (Arc<Store>, String) {
        let cluster = self.prefix.rsplit('/').next().unwrap_or_default();
        (Arc::clone(&self.store), format!("{name}/{cluster}"))
    }

    /// The newest snapshot.
    pub(crate) async fn newest(&self) -> Result<Option<Archived>> {
        let all = timeout(LOOK, self.all()).await;
        let all = all.map_err(|_| failed("the object store does not list them in time"))?;
        Ok(all?.pop())
    }

    /// All snapshots, the newest last.
    async fn all(&self) -> Result<Vec<Archived>> {
        let mut listed = self.store.list(&self.prefix);
        let mut all = Vec::new();
        while let Some(found) = listed.try_next().await.map_err(failed)? {
            // What has another name is not ours.
            if let Some(id) = self.parse(&found.key) {
                all.push(Archived {
                    key: found.key,
                    id,
                    bytes: found.size,
                });
            }
        }
        all.sort_by(|a, b| (a.id, &a.key).cmp(&(b.id, &b.key)));
        Ok(all)
    }

    fn parse(&self, key: &str) -> Option<LogId> {
        let name = key.strip_prefix(&self.prefix)?.strip_prefix('/')?;
        let mut parts = name.strip_suffix(".snap")?.splitn(3, '-');
        let mut number = || parts.next()?.parse().ok();
        Some(log_id(number()?, number()?))
    }

    /// Uploads a snapshot. Holds no more than a few parts of it in memory.
    pub(crate) async fn upload(&self, stored: &Stored) -> Result<()> {
        let id = stored.applied().ok_or_else(|| failed("it holds nothing"))?;
        // Two nodes may archive the same entry; no key is ever used again.
        let key = format!(
            "{}/{:020}-{:020}-{:016x}.snap",
            self.prefix,
            term(&id),
            id.index,
            rand::random::<u64>()
        );
        let mut upload = self.store.upload(&key).map_err(failed)?;
        let mut offset = 0;
        while offset < stored.bytes() {
            let length = (stored.bytes() - offset).min(PART);
            let file = Arc::clone(stored.file());
            let read = move || {
                let mut data = vec![0; length as usize];
                file.read_exact_at(&mut data, offset).map(|()| data)
            };
            let data = blocking::run(read).await.map_err(failed)?.map_err(failed)?;
            upload.write(data.into()).await.map_err(failed)?;
            offset += length;
        }
        upload.finish().await.map_err(failed)?;
        tracing::info!(key, bytes = stored.bytes(), "archived a snapshot");
        Ok(())
    }

    /// Removes all but the newest.
    pub(crate) async fn prune(&self) -> Result<()> {
        let mut all = self.all().await?;
        all.truncate(all.len().saturating_sub(KEPT));
        for old in all {
            self.store.delete(&old.key).await.map_err(failed)?;
        }
        Ok(())
    }

    /// The object that a key of another member names, if it is in this archive.
    pub(crate) async fn find(&self, key: &str) -> Result<Archived> {
        let id = self.parse(key);
        let id = id.ok_or_else(|| failed(format!("{key} is no snapshot of this cluster")))?;
        let bytes = self.store.size(key).await.map_err(failed)?;
        let key = key.to_owned();
        Ok(Archived { key, id, bytes })
    }

    /// Downloads a snapshot to `path`, a new file, and reads it wholly: what is
    /// returned is whole and is the one that was asked for.
    pub(crate) async fn fetch(&self, archived: &Archived, path: &Path) -> Result<Stored> {
        let create = Error::io("cannot create", path);
        let mut file = Some(File::create(path).map_err(create)?);
        let mut offset = 0;
        while offset < archived.bytes {
            let end = (offset + PART).min(archived.bytes);
            let data = self.store.get_once(&archived.key, offset..end).await;
            let data = data.map_err(failed)?;
            let mut open = file.take().expect("it is put back below");
            let written = blocking::run(move || open.write_all(&data).map(|()| open)).await;
            let written = written.map_err(failed)?;
            file = Some(written.map_err(Error::io("cannot write", path))?);
            offset = end;
        }
        drop(file);
        let stored = Stored::open(path)?;
        if stored.applied() != Some(archived.id) {
            return Err(failed(format!("{} holds another entry", archived.key)));
        }
        let verified = stored.clone();
        blocking::run(move || verified.verify())
            .await
            .map_err(failed)??;
        Ok(stored)
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Archive(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keys_tell_what_is_in_them_and_order_by_it() {
        let dir = tempfile::TempDir::new().expect("a folder");
        let settings = postrider_blob::Settings {
            folder: Some(dir.path().to_owned()),
            ..postrider_blob::Settings::default()
        };
        let store = Store::open(&settings).expect("a store");
        let archive = Archive::new(Arc::clone(&store), "raft/0123/");
        for name in [
            "raft/0123/00000000000000000002-00000000000000000900-00000000000000aa.snap",
            "raft/0123/00000000000000000003-00000000000000000800-00000000000000ab.snap",
            "raft/0123/notes.txt",
            "raft/4567/00000000000000000009-00000000000000009000-00000000000000ac.snap",
        ] {
            store
                .put(name, vec![b"x".as_slice().into()])
                .await
                .expect("a put");
        }
        let newest = archive.newest().await.expect("a list").expect("one");
        assert_eq!(newest.id, log_id(3, 800));
        let other = "raft/4567/00000000000000000009-00000000000000009000-00000000000000ac.snap";
        assert!(archive.find(other).await.is_err());
        // Not a snapshot, whatever its name says.
        assert!(
            archive
                .fetch(&newest, &dir.path().join("draft"))
                .await
                .is_err()
        );
    }
}
