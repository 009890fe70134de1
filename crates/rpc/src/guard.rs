//! Who may call what: decided for each call, before any service sees it.

use std::sync::Arc;

use hyper::http::header::USER_AGENT;
use hyper::http::request::Parts;
use postrider_types::{Version, Versions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::Failure;

/// What a caller without a certificate may reach.
const JOIN: &str = "/postrider.v1.Join/";
/// What only nodes with metadata call.
const RAFT: &str = "/postrider.v1.Raft/";
/// Metadata of requests that one node with metadata passes on to another, so that
/// they are passed on once. Nobody else may set it.
pub const FORWARDED: &str = "postrider-forwarded";
/// Calls of those at a time. The secret that they bring has 128 bits: this
/// bounds the work, not the guesses.
const JOINS: usize = 8;

/// The node that calls, by its certificate: an extension of each request. Absent
/// where the caller has none: in [`crate::proto`]'s `Join`, and under
/// [`crate::Tls::Off`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller(pub u64);

/// What is known of a node that calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was removed from the cluster, for ever.
    Removed,
    /// It holds no metadata.
    Frontend,
    /// It holds metadata, or nothing is known of it.
    Voter,
}

/// Lets nodes of the cluster call what is theirs to call, and others nothing but
/// `Join`.
#[derive(Clone)]
pub struct Guard {
    standing: Arc<dyn Fn(u64) -> Standing + Send + Sync>,
    versions: Versions,
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
    /// `standing` is asked before each call, and for each connection now and then:
    /// a certificate outlives its node's removal. It must be quick.
    pub fn new(standing: impl Fn(u64) -> Standing + Send + Sync + 'static) -> Self {
        Self {
            standing: Arc::new(standing),
            versions: Versions::PROGRAM,
            joins: Arc::new(Semaphore::new(JOINS)),
        }
    }

    /// The same for a program of these versions.
    pub fn speaking(self, versions: Versions) -> Self {
        Self { versions, ..self }
    }

    /// Whether `peer` may make this call. A stranger needs a permit as well.
    pub(crate) fn admit(&self, peer: Peer, head: &mut Parts) -> Result<(), Failure> {
        let path = head.uri.path();
        match peer {
            Peer::Unknown => {}
            Peer::Node(node) => {
                let voters = path.starts_with(RAFT) || head.headers.contains_key(FORWARDED);
                match (self.standing)(node) {
                    Standing::Removed => return Err(Failure::Removed),
                    Standing::Frontend if voters => {
                        let text = format!(
                            "node {node} holds no metadata: this call is for those that do. If \
                             it has got the role meta just now, it is known in a moment"
                        );
                        return Err(Failure::Unavailable(text));
                    }
                    Standing::Frontend | Standing::Voter => {}
                }
                head.extensions.insert(Caller(node));
            }
            Peer::Stranger if path.starts_with(JOIN) => {}
            Peer::Stranger => {
                let text = "this call needs a certificate of the cluster: join first";
                return Err(Failure::Failed(text.into()));
            }
        }
        self.understand(head)
    }

    /// Refuses a program with which this one shares no version.
    fn understand(&self, head: &Parts) -> Result<(), Failure> {
        let agent = head.headers.get(USER_AGENT);
        let theirs = agent.and_then(|agent| version_of(agent.to_str().ok()?));
        let ours = self.versions.newest;
        match theirs.filter(|theirs| !theirs.works_beside(ours)) {
            None => Ok(()),
            Some(theirs) => Err(Failure::Unsupported(format!(
                "the caller's program is of version {theirs}, this node's of version {ours}: only \
                 neighbours work together. Upgrade all nodes by one version after the other"
            ))),
        }
    }

    /// A permit for a stranger's call, which lasts as long as that.
    pub(crate) fn join(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let permit = self.joins.clone().try_acquire_owned();
        permit.map_err(|_| Failure::Unavailable("too many nodes join at once".into()))
    }

    /// Whether a node was removed: nothing of it is to go on.
    pub(crate) fn refuses(&self, peer: Peer) -> bool {
        matches!(peer, Peer::Node(node) if (self.standing)(node) == Standing::Removed)
    }
}

/// The product in the user agent of each call between nodes.
const AGENT: &str = "postrider/";

/// How a program of these versions calls itself.
pub(crate) fn agent(versions: Versions) -> String {
    format!("{AGENT}{}", versions.newest)
}

/// The newest version that the program knows, out of its user agent.
fn version_of(agent: &str) -> Option<Version> {
    let first = agent.split(' ').next()?;
    first.strip_prefix(AGENT)?.parse().ok().map(Version)
}
