//! Domains whose mail goes on to a server behind this one.

use postrider_types::HostPort;
use serde::{Deserialize, Serialize};

/// The server behind this one that has the rest of a domain's mailboxes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Relay {
    /// It; port 25 unless named.
    pub to: HostPort,
    /// How the connection is protected.
    pub tls: RelayTls,
}

/// How the connection to a [`Relay`] is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RelayTls {
    /// STARTTLS where it is offered, with any certificate.
    #[default]
    Opportunistic,
    /// STARTTLS, and the certificate must name the host.
    Verified,
    /// Never TLS: within one's own walls.
    Off,
}
