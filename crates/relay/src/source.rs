//! Where the content of a message comes from.

use bytes::Bytes;

/// The content of one message, in pieces.
pub trait Source: Send {
    /// The next piece; None after the last. Lines end with CRLF. After an error
    /// nothing more is asked for.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, SourceError>> + Send;

    /// How many bytes all pieces have together, exactly: a message that turns
    /// out longer or shorter is not finished.
    fn size(&self) -> u64;
}

/// The content cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(Box<dyn std::error::Error + Send + Sync>);

impl SourceError {
    /// Keeps the cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
