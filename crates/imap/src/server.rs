//! [`Server`]: what a listener hands its connections to.

use std::sync::Arc;

use postrider_auth::Authenticator;
use postrider_body::Bodies;
use postrider_meta::Client;
use postrider_net::{Busy, Connection, Drain, Service, Tls};

use crate::Settings;
use crate::metric;
use crate::session::Session;

/// What sessions work with.
#[derive(Clone)]
pub struct Handles {
    /// The metadata store.
    pub meta: Client,
    /// The bodies of messages.
    pub bodies: Bodies,
    /// Who checks logins.
    pub auth: Authenticator,
    /// For STARTTLS; without it the command is not offered.
    pub tls: Option<Tls>,
}

/// The IMAP service. One serves any number of listeners, with implicit TLS
/// (port 993) or without (143).
#[derive(Clone)]
pub struct Server(Arc<Shared>);

/// What all sessions share.
pub(crate) struct Shared {
    pub(crate) handles: Handles,
    pub(crate) settings: Settings,
}

impl Server {
    /// A service over `handles`.
    pub fn new(handles: Handles, settings: Settings) -> Self {
        Self(Arc::new(Shared { handles, settings }))
    }
}

impl Service for Server {
    async fn serve(&self, connection: Connection, drain: Drain) {
        let _open = metric::SessionOpen::new();
        Session::new(self.0.clone(), connection, drain).run().await;
    }

    fn busy_reply(&self, busy: Busy) -> &'static [u8] {
        match busy {
            Busy::Total => b"* BYE [UNAVAILABLE] too many connections, try again later\r\n",
            Busy::PerAddress => {
                b"* BYE [LIMIT] too many connections from your address, close some first\r\n"
            }
        }
    }

    fn name(&self) -> &'static str {
        "imap"
    }
}
