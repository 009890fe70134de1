//! The metadata in the object store: snapshots, from which a new or lagging member
//! loads the state without burdening the leader, and the log that goes on from
//! them. From the two the cluster can be restored. Nothing that was acknowledged
//! lies here alone.
//!
//! A snapshot's object is its file as it is. Keys hold what is in the objects, so
//! that listing them is enough to find what is needed (`catalogue.rs`).

mod catalogue;
mod fill;
mod segment;
mod tidy;
mod verify;
mod writer;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use postrider_blob::Store;
use postrider_types::Millis;
use tokio::time::timeout;

pub(crate) use self::catalogue::{Archived, Piece};
pub use self::catalogue::{Gap, Lineage};
use self::segment::MAX_RAW;
pub(crate) use self::segment::matters;
pub use self::tidy::Tidier;
pub use self::verify::Verified;
pub use self::writer::{Archiver, Archiving};
use crate::blocking;
use crate::error::{Error, Result};
use crate::raft::Entry;
use crate::snapshot::Stored;

/// Bytes that are read or written at once.
const PART: u64 = 4 << 20;
/// A look at what there is may take this long; nobody waits longer for a store
/// that is away.
const LOOK: Duration = Duration::from_secs(5);
/// The folder of all clusters' snapshots.
const SNAPSHOTS: &str = "snapshots";
/// The folder of all clusters' logs.
const LOG: &str = "log";
/// The folder of what all clusters' votes remember (`crate::bucket`).
pub(crate) const VOTE: &str = "vote";

/// What the object store holds of the metadata of one cluster. Cheap to clone.
#[derive(Clone)]
pub struct Archive {
    store: Arc<Store>,
    cluster: Arc<str>,
}

impl Archive {
    /// The archive of the cluster with this id in `store`.
    pub fn new(store: Arc<Store>, cluster: &str) -> Self {
        Self {
            store,
            cluster: cluster.into(),
        }
    }

    /// Where else something of this cluster lies: the store, and a prefix below
    /// `name` that names the cluster as this one does.
    pub(crate) fn beside(&self, name: &str) -> (Arc<Store>, String) {
        (Arc::clone(&self.store), format!("{name}/{}", self.cluster))
    }

    /// All clusters that `store` holds something of: one as a rule, and those that
    /// it was recovered from.
    pub async fn lineages(store: &Store) -> Result<Vec<Lineage>> {
        catalogue::read(store, None).await
    }

    /// The oldest moment of which `store` keeps a state, of whichever cluster:
    /// what a body in use at that moment lies in is needed still.
    pub async fn oldest(store: &Store) -> Result<Option<Millis>> {
        let mut listed = store.list(SNAPSHOTS);
        let mut oldest: Option<Millis> = None;
        while let Some(found) = listed.try_next().await.map_err(failed)? {
            if let Some((_, snapshot)) = Archived::parse(&found.key, found.size) {
                oldest = Some(oldest.map_or(snapshot.time, |time| time.min(snapshot.time)));
            }
        }
        Ok(oldest)
    }

    /// What there is of this cluster.
    pub async fn lineage(&self) -> Result<Lineage> {
        let mut found = catalogue::read(&self.store, Some(&self.cluster)).await?;
        Ok(found.pop().unwrap_or_else(|| Lineage {
            cluster: self.cluster.to_string(),
            ..Lineage::default()
        }))
    }

    /// The newest snapshot.
    pub(crate) async fn newest(&self) -> Result<Option<Archived>> {
        let all = timeout(LOOK, self.snapshots()).await;
        let all = all.map_err(|_| failed("the object store does not list them in time"))?;
        Ok(all?.pop())
    }

    /// All snapshots, the newest last.
    async fn snapshots(&self) -> Result<Vec<Archived>> {
        let mut listed = self.store.list(&format!("{SNAPSHOTS}/{}", self.cluster));
        let mut all = Vec::new();
        while let Some(found) = listed.try_next().await.map_err(failed)? {
            // What has another name is not ours.
            all.extend(Archived::parse(&found.key, found.size).map(|(_, snapshot)| snapshot));
        }
        all.sort_by(|a, b| (a.id, &a.key).cmp(&(b.id, &b.key)));
        Ok(all)
    }

    /// Uploads a snapshot, unless it is damaged: what is sent is checked on its way.
    /// Holds no more than a few parts of it in memory.
    pub(crate) async fn upload(&self, stored: &Stored) -> Result<()> {
        let id = stored.applied().ok_or_else(|| failed("it holds nothing"))?;
        // Two nodes may archive the same entry; no key is ever used again.
        let time = stored.progress().time;
        let key = Archived::name(&self.cluster, &id, time, rand::random());
        let mut upload = self.store.upload(&key).map_err(failed)?;
        let (sender, checking) = verify::check();
        let mut offset = 0;
        while offset < stored.bytes() {
            let length = (stored.bytes() - offset).min(PART);
            let file = Arc::clone(stored.file());
            let read = move || {
                let mut data = vec![0; length as usize];
                file.read_exact_at(&mut data, offset).map(|()| data)
            };
            let data = blocking::run(read).await.map_err(failed)?.map_err(failed)?;
            let data = Bytes::from(data);
            // Whoever checks it has found enough.
            if sender.send(data.clone()).await.is_err() {
                break;
            }
            upload.write(data).await.map_err(failed)?;
            offset += length;
        }
        drop(sender);
        let damaged = |reason: String| {
            failed(format!(
                "the snapshot of entry {id} on the disk of this node is damaged ({reason}) and \
                 does not go there; check the disk. The next one is written as the log grows"
            ))
        };
        let checked = checking.await.map_err(failed)?;
        let checked = checked.map_err(|error| damaged(error.to_string()))?;
        if checked != Some(id) || offset != stored.bytes() {
            return Err(damaged("it holds something else".into()));
        }
        upload.finish().await.map_err(failed)?;
        tracing::info!(key, bytes = stored.bytes(), "archived a snapshot");
        Ok(())
    }

    /// Removes what no state since `cutoff` needs, of clusters of which nothing is
    /// younger than that all. How many objects.
    async fn prune(&self, cutoff: Millis) -> Result<u64> {
        let mut removed = 0;
        for lineage in Self::lineages(&self.store).await? {
            let own = lineage.cluster == *self.cluster;
            if !own && lineage.newest().is_none_or(|newest| newest >= cutoff) {
                continue;
            }
            let (mut keys, pieces) = if own {
                let outlived = lineage.outlived(cutoff);
                (outlived.snapshots, outlived.pieces)
            } else {
                tracing::info!(
                    cluster = lineage.cluster,
                    "removes what is left of a cluster that this one was recovered from"
                );
                // First: without the rest nobody would look for it again.
                removed += self.forget_vote(&lineage.cluster).await?;
                let snapshots = lineage.snapshots.into_iter();
                (snapshots.map(|it| it.key).collect(), lineage.pieces)
            };
            let key = |piece: &Piece| piece.key(&lineage.cluster);
            keys.extend(pieces.iter().map(key));
            for key in keys {
                self.store.delete(&key).await.map_err(failed)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes what the vote of another cluster remembers. How many objects.
    async fn forget_vote(&self, cluster: &str) -> Result<u64> {
        let mut listed = self.store.list(&format!("{VOTE}/{cluster}"));
        let mut removed = 0;
        while let Some(found) = listed.try_next().await.map_err(failed)? {
            self.store.delete(&found.key).await.map_err(failed)?;
            removed += 1;
        }
        Ok(removed)
    }

    /// The object that a key of another member names, if it is in this archive.
    pub(crate) async fn find(&self, key: &str) -> Result<Archived> {
        let found = Archived::parse(key, 0).filter(|(cluster, _)| *cluster == &*self.cluster);
        let strange = || failed(format!("{key} is no snapshot of this cluster"));
        let (_, found) = found.ok_or_else(strange)?;
        let bytes = self.store.size(key).await.map_err(failed)?;
        Ok(Archived { bytes, ..found })
    }

    /// Puts a piece of the log.
    pub(crate) async fn put(&self, sealed: segment::Sealed) -> Result<Piece> {
        let piece = Piece {
            first: sealed.head.first,
            last: sealed.head.last.index,
            term: crate::raft::term(&sealed.head.last),
            time: Millis(sealed.head.ended),
            salt: rand::random(),
            bytes: sealed.bytes.len() as u64,
        };
        let key = piece.key(&self.cluster);
        let put = self.store.put(&key, vec![sealed.bytes]).await;
        put.map_err(failed)?;
        Ok(piece)
    }

    /// Removes a piece of the log.
    async fn remove(&self, piece: &Piece) -> Result<()> {
        let removed = self.store.delete(&piece.key(&self.cluster)).await;
        removed.map_err(failed)
    }

    /// The entries of a piece of the log, all of them checked.
    pub(crate) async fn entries(&self, piece: &Piece) -> Result<Vec<Entry>> {
        let key = piece.key(&self.cluster);
        let damaged = |reason: String| Error::Piece {
            key: key.clone(),
            reason,
        };
        if piece.bytes > MAX_RAW {
            return Err(damaged("it is longer than any that is written".into()));
        }
        let read = self.store.get_once(&key, 0..piece.bytes).await;
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error @ postrider_blob::Error::Unavailable(_)) => return Err(failed(error)),
            Err(error) => return Err(damaged(error.to_string())),
        };
        let opened = blocking::run(move || segment::open(&bytes)).await;
        let (head, entries) = opened.map_err(failed)?.map_err(damaged)?;
        let named = (head.first, head.last.index, head.ended);
        if head.cluster != *self.cluster || named != (piece.first, piece.last, piece.time.0) {
            return Err(damaged("it holds another piece than its name says".into()));
        }
        Ok(entries)
    }

    /// Downloads a snapshot to `path`, a new file, and reads it wholly: what is
    /// returned is whole and is the one that was asked for.
    pub(crate) async fn fetch(&self, archived: &Archived, path: &Path) -> Result<Stored> {
        let damaged = |reason: String| Error::Snapshot {
            key: archived.key.clone(),
            reason,
        };
        // Of the object, and not of this node's folder.
        let told = |error: Error| match error {
            Error::Unrecoverable { reason, .. } => damaged(reason),
            error => error,
        };
        let create = Error::io("cannot create", path);
        let mut file = Some(File::create(path).map_err(create)?);
        let mut offset = 0;
        while offset < archived.bytes {
            let end = (offset + PART).min(archived.bytes);
            let data = self.store.get_once(&archived.key, offset..end).await;
            let data = data.map_err(|error| match error {
                postrider_blob::Error::Unavailable(_) => failed(error),
                error => damaged(error.to_string()),
            })?;
            let mut open = file.take().expect("it is put back below");
            let written = blocking::run(move || open.write_all(&data).map(|()| open)).await;
            let written = written.map_err(failed)?;
            file = Some(written.map_err(Error::io("cannot write", path))?);
            offset = end;
        }
        drop(file);
        let stored = Stored::open(path).map_err(told)?;
        if stored.applied() != Some(archived.id) {
            return Err(damaged("it holds another entry than its name says".into()));
        }
        let verified = stored.clone();
        let verified = blocking::run(move || verified.verify()).await;
        verified.map_err(failed)?.map_err(told)?;
        Ok(stored)
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Archive(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::log_id;

    #[tokio::test]
    async fn keys_tell_what_is_in_them_and_order_by_it() {
        let dir = tempfile::TempDir::new().expect("a folder");
        let settings = postrider_blob::Settings {
            folder: Some(dir.path().to_owned()),
            ..postrider_blob::Settings::default()
        };
        let store = Store::open(&settings).expect("a store");
        let archive = Archive::new(Arc::clone(&store), "0123");
        for name in [
            "snapshots/0123/00000000000000000002-00000000000000000900-00000000000000000007-00000000000000aa.snap",
            "snapshots/0123/00000000000000000003-00000000000000000800-00000000000000000008-00000000000000ab.snap",
            "snapshots/0123/notes.txt",
            "snapshots/4567/00000000000000000009-00000000000000009000-00000000000000000006-00000000000000ac.snap",
        ] {
            store
                .put(name, vec![b"x".as_slice().into()])
                .await
                .expect("a put");
        }
        let newest = archive.newest().await.expect("a list").expect("one");
        assert_eq!((newest.id, newest.time), (log_id(3, 800), Millis(8)));
        assert_eq!(
            Archive::oldest(&store).await.expect("a list"),
            Some(Millis(6))
        );
        let other = "snapshots/4567/00000000000000000009-00000000000000009000-00000000000000000006-00000000000000ac.snap";
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
