//! What can go wrong with a body, in the terms that a session answers with.

use postrider_types::BodyId;

/// A body could not be taken in or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The object store or the metadata store does not answer: try again later
    /// (SMTP 451 4.3.0, IMAP `NO [UNAVAILABLE]`).
    #[error("message bodies are not available now, try again later: {0}")]
    Unavailable(String),
    /// There is no memory for another large body right now, or it was given up
    /// because its sender stalled while others waited: try again later (SMTP 452
    /// 4.3.1, IMAP `NO [UNAVAILABLE]`).
    #[error("{0}")]
    Crowded(String),
    /// The stored bytes do not match their checksum, or are gone: restore the
    /// object store from its copy. Trying again does not help.
    #[error("the stored body {id} is damaged: {reason}; restore it from a copy")]
    Damaged {
        /// Which body.
        id: BodyId,
        /// What is wrong with it.
        reason: String,
    },
    /// No such body (any more): its last message was removed.
    #[error("there is no body {0}")]
    NotFound(BodyId),
    /// Larger than the caller's or the product's limit.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
}

impl From<postrider_meta::Error> for Error {
    fn from(error: postrider_meta::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// For requests that write: those that read know which body is meant.
impl From<postrider_blob::Error> for Error {
    fn from(error: postrider_blob::Error) -> Self {
        match error {
            postrider_blob::Error::Crowded(_) => Self::Crowded(error.to_string()),
            error => Self::Unavailable(error.to_string()),
        }
    }
}
