//! [`Server`]: what all sessions of one role share.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use postrider_auth::Authenticator;
use postrider_body::Bodies;
use postrider_meta::Client;
use postrider_net::{Busy, Connection, Counts, Drain, Key, RateLimiter, Service, Tls};
use postrider_proto::smtp::UnsubscribeLinks;
use postrider_types::NodeId;

use crate::lookups::Lookups;
use crate::session::Session;
use crate::volume::Volume;
use crate::{Outbound, Settings};

/// Client addresses whose messages are counted at once.
const RATE_CAPACITY: usize = 100_000;

/// What the sessions work with.
#[derive(Clone)]
pub struct Handles {
    /// The metadata.
    pub meta: Client,
    /// The message bodies.
    pub bodies: Bodies,
    /// Logins.
    pub auth: Authenticator,
    /// TLS for STARTTLS; None offers none.
    pub tls: Option<Tls>,
    /// This node, in a cluster: for the history of messages.
    pub node: Option<NodeId>,
    /// Mail to other servers; None refuses it.
    pub outbound: Option<Outbound>,
    /// The way out of mailing lists, for members here and elsewhere; None offers
    /// none.
    pub unsubscribe: Option<UnsubscribeLinks>,
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Mail from other servers (port 25). No logins.
    Mx,
    /// Mail from users with STARTTLS (port 587, RFC 6409).
    Submission,
    /// Mail from users; the listener does TLS from the start (port 465, RFC 8314).
    Submissions,
    /// Mail from a server in front (RFC 2033). No logins.
    Lmtp,
}

impl Role {
    /// Whether users send here: with a login, from their own addresses.
    pub(crate) const fn is_submission(self) -> bool {
        matches!(self, Self::Submission | Self::Submissions)
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Mx => "smtp",
            Self::Submission => "submission",
            Self::Submissions => "submissions",
            Self::Lmtp => "lmtp",
        }
    }
}

/// Serves SMTP or LMTP connections in one role. Cheap to clone.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

/// What sessions see of their server.
pub(crate) struct Shared {
    pub(crate) handles: Handles,
    pub(crate) settings: Settings,
    pub(crate) role: Role,
    rate: RateLimiter,
    pub(crate) volume: Volume,
    pub(crate) lookups: Lookups,
}

impl Shared {
    /// Whether `peer` may send without a login.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.settings
            .trusted_networks
            .iter()
            .any(|n| n.contains(peer))
    }

    /// Counts a message from `peer`; false if there were too many.
    pub(crate) fn admit_message(&self, peer: IpAddr) -> bool {
        self.rate.try_acquire(Key::address(peer))
    }
}

impl Server {
    /// A server in `role` that counts messages for itself alone.
    pub fn new(handles: Handles, settings: Settings, role: Role) -> Self {
        Self::sharing(handles, settings, role, &Counts::new())
    }

    /// The same, counting messages together with all servers in this role wherever
    /// `counts` are told.
    pub fn sharing(handles: Handles, settings: Settings, role: Role, counts: &Counts) -> Self {
        let per_minute = settings.max_messages_per_minute;
        let name = format!("messages-{}", role.as_str());
        let minute = Duration::from_secs(60);
        Self(Arc::new(Shared {
            handles,
            role,
            rate: counts.rate(&name, per_minute, minute, RATE_CAPACITY),
            volume: Volume::new(&settings, counts),
            lookups: Lookups::default(),
            settings,
        }))
    }
}

impl Service for Server {
    async fn serve(&self, connection: Connection, drain: Drain) {
        Session::new(&self.0, connection, drain).run().await;
    }

    fn busy_reply(&self, busy: Busy) -> &'static [u8] {
        match busy {
            Busy::Total => b"421 4.3.2 too many connections, try again later\r\n",
            Busy::PerAddress => b"421 4.7.0 too many connections from your address\r\n",
        }
    }

    fn name(&self) -> &'static str {
        self.0.role.as_str()
    }
}
