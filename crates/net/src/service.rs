//! The seam between listeners and protocols: [`Service`], and [`Drain`], by
//! which sessions learn that the node is about to stop.

use std::future::Future;

use tokio_util::sync::CancellationToken;

use crate::Connection;

/// Why a connection is turned away before its session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// The listener has as many connections as it may.
    Total,
    /// The client's address has as many connections as it may.
    PerAddress,
}

/// A protocol that serves connections.
pub trait Service: Send + Sync + 'static {
    /// Serves one connection until either side closes it. Dropping the future
    /// is safe at any moment; it happens when a drain's deadline has passed.
    fn serve(&self, connection: Connection, drain: Drain) -> impl Future<Output = ()> + Send;

    /// What a client is told that is turned away, as the whole line with CRLF:
    /// `421 4.3.2 too many connections`, `* BYE ...`, `-ERR ...`. Sent instead
    /// of the banner, and only where TLS is not implicit.
    fn busy_reply(&self, busy: Busy) -> &'static [u8];

    /// A short lower-case name for metrics and logs: `smtp`, `imap`.
    fn name(&self) -> &'static str;
}

/// Tells sessions to finish the current command, say goodbye and close. Cheap
/// to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Drain(CancellationToken);

impl Drain {
    /// A drain that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to drain. Can be called again without effect.
    pub fn start(&self) {
        self.0.cancel();
    }

    /// Returns once the drain has begun. Safe to drop and call again.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }

    /// Whether the drain has begun.
    pub fn is_draining(&self) -> bool {
        self.0.is_cancelled()
    }
}
