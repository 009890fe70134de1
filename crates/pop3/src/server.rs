//! [`Server`]: what all sessions share.

use std::sync::Arc;

use postrider_auth::Authenticator;
use postrider_body::Bodies;
use postrider_meta::Client;
use postrider_net::{Busy, Connection, Drain, Service, Tls};

use crate::Settings;
use crate::session::Session;

/// What the sessions work with.
#[derive(Clone)]
pub struct Handles {
    /// The metadata.
    pub meta: Client,
    /// The message bodies.
    pub bodies: Bodies,
    /// Logins.
    pub auth: Authenticator,
    /// TLS for STLS; None offers none.
    pub tls: Option<Tls>,
}

/// Serves POP3 connections. Cheap to clone.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

/// What sessions see of their server.
pub(crate) struct Shared {
    pub(crate) handles: Handles,
    pub(crate) settings: Settings,
}

impl Server {
    /// A server.
    pub fn new(handles: Handles, settings: Settings) -> Self {
        Self(Arc::new(Shared { handles, settings }))
    }
}

impl Service for Server {
    async fn serve(&self, connection: Connection, drain: Drain) {
        Session::new(&self.0, connection, drain).run().await;
    }

    fn busy_reply(&self, busy: Busy) -> &'static [u8] {
        match busy {
            Busy::Total => b"-ERR [SYS/TEMP] too many connections, try again later\r\n",
            Busy::PerAddress => b"-ERR [SYS/TEMP] too many connections from your address\r\n",
        }
    }

    fn name(&self) -> &'static str {
        "pop3"
    }
}
