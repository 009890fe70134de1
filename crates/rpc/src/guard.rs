//! Who may call what: decided for each call, before any service sees it.

use std::sync::Arc;

use hyper::http::Extensions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::Failure;

/// What a caller without a certificate may reach.
const JOIN: &str = "/postrider.v1.Join/";
/// Calls of those at a time. The secret that they bring has 128 bits: this
/// bounds the work, not the guesses.
const JOINS: usize = 8;

/// The node that calls, by its certificate: an extension of each request. Absent
/// where the caller has none: in [`crate::proto`]'s `Join`, and under
/// [`crate::Tls::Off`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller(pub u64);

/// Lets nodes of the cluster call everything, and others nothing but `Join`.
#[derive(Clone)]
pub struct Guard {
    allowed: Arc<dyn Fn(u64) -> bool + Send + Sync>,
    joins: Arc<Semaphore>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Anybody: there is no TLS.
    Unknown,
    /// Somebody without a certificate of the cluster.
    Stranger,
    /// The node that its certificate names.
    Node(u64),
}

impl Guard {
    /// `allowed` is asked before each call whether the calling node may still:
    /// a certificate outlives its node's removal. It must be quick.
    pub fn new(allowed: impl Fn(u64) -> bool + Send + Sync + 'static) -> Self {
        Self {
            allowed: Arc::new(allowed),
            joins: Arc::new(Semaphore::new(JOINS)),
        }
    }

    /// Whether `peer` may call `path`. A stranger's permit lasts as long as the
    /// call.
    pub(crate) fn admit(
        &self,
        peer: Peer,
        path: &str,
        extensions: &mut Extensions,
    ) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        match peer {
            Peer::Unknown => Ok(None),
            Peer::Node(node) if (self.allowed)(node) => {
                extensions.insert(Caller(node));
                Ok(None)
            }
            Peer::Node(_) => Err(Failure::Removed),
            Peer::Stranger if path.starts_with(JOIN) => {
                let permit = self.joins.clone().try_acquire_owned();
                let busy = |_| Failure::Unavailable("too many nodes join at once".into());
                permit.map(Some).map_err(busy)
            }
            Peer::Stranger => {
                let text = "this call needs a certificate of the cluster: join first";
                Err(Failure::Failed(text.into()))
            }
        }
    }
}
