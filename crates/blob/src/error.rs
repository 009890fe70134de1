//! What a request to the object store can end with, and which of
//! `object_store`'s errors means what.

use object_store::Error as Cause;

/// A request to the object store failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The store does not answer, or answers with errors, after all retries.
    #[error("the object store is not available: {0}; check its address, credentials and disk")]
    Unavailable(String),
    /// There is no memory for this upload: the store itself may be well.
    #[error("too many large objects at once: {0}")]
    Crowded(String),
    /// The store answered: there is no such object.
    #[error("there is no object {0}")]
    NotFound(String),
    /// A conditional creation found the object there. After a retry it may be
    /// the one that an earlier attempt of the same call created.
    #[error("the object {0} exists already")]
    Exists(String),
    /// The object ends before the bytes that were asked for.
    #[error("the object {0} is shorter than expected")]
    Short(String),
    /// The request or the settings are wrong; trying again does not help.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// What `cause` means for the object `key`.
    pub(crate) fn classify(cause: Cause, key: &str) -> Self {
        match cause {
            // A missing bucket is a 404 as well: no object is lost.
            Cause::NotFound { ref source, .. } if source.to_string().contains("NoSuchBucket") => {
                Self::Unavailable("the bucket does not exist".into())
            }
            Cause::NotFound { .. } => Self::NotFound(key.into()),
            Cause::AlreadyExists { .. } | Cause::Precondition { .. } => Self::Exists(key.into()),
            Cause::InvalidPath { .. }
            | Cause::NotSupported { .. }
            | Cause::NotImplemented { .. }
            | Cause::UnknownConfigurationKey { .. } => Self::Invalid(cause.to_string()),
            other => {
                let text = other.to_string();
                if out_of_range(&text) {
                    Self::Short(key.into())
                } else {
                    Self::Unavailable(text)
                }
            }
        }
    }

    /// Whether another attempt may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Whether the store refused a range that begins behind the object's end.
/// `object_store` gives no type for it: S3 says 416 (InvalidRange), the folder
/// and the memory store have texts of their own.
fn out_of_range(text: &str) -> bool {
    [
        "416 Range Not Satisfiable",
        "InvalidRange",
        "range was invalid",
        "Invalid range",
    ]
    .iter()
    .any(|mark| text.contains(mark))
}
