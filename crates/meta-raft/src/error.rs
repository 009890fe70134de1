//! What can go wrong when a node starts or stops. Every text names the file
//! and says what to do. Errors of single calls are [`postrider_meta::Error`].

use std::path::{Path, PathBuf};

/// A node cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("{action} {path}: {source}; check the disk, its free space and the permissions")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The Raft log has lost or changed something that was durable.
    #[error(
        "the Raft log is damaged: {path} at byte {offset}: {reason}. Nothing was changed. \
         Do not delete the log: it holds mail that was acknowledged. In a cluster run `postrider \
         cluster rejoin` here, which gets all from the others; a node that stands alone needs its \
         disk repaired or its folder restored"
    )]
    Damaged {
        /// The damaged or missing file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The state cannot be rebuilt: log and snapshots do not meet.
    #[error(
        "the metadata in {path} cannot be rebuilt: {reason}. In a cluster run `postrider \
         cluster rejoin` here, which gets all from the others; a node that stands alone needs its \
         folder restored"
    )]
    Unrecoverable {
        /// The folder of the node.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The folder cannot be used as it is.
    #[error("{path}: {reason}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// The state engine failed.
    #[error("the state engine failed: {0}")]
    Engine(String),
    /// Raft could not be started or stopped.
    #[error("raft failed: {0}")]
    Raft(String),
    /// A snapshot could not be brought to the object store or from it.
    #[error("the archive of snapshots: {0}; it is tried again later")]
    Archive(String),
    /// A piece of the archived log is damaged or gone.
    #[error("the piece {key} of the archived log is damaged: {reason}")]
    Piece {
        /// Its object.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A snapshot in the archive is damaged or gone.
    #[error("the archived snapshot {key} is damaged: {reason}")]
    Snapshot {
        /// Its object.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The state cannot be restored from the archive.
    #[error("{0}")]
    Restore(String),
    /// A setting is out of its range.
    #[error("setting {name}: {reason}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Which values are allowed.
        reason: String,
    },
}

impl Error {
    /// An I/O error with its circumstances.
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Damage of the log.
    pub(crate) fn damaged(path: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            offset,
            reason: reason.into(),
        }
    }
}

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
