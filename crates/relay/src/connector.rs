//! Opens connections.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::failure::{Failure, Phase};
use crate::login::Login;
use crate::race::Reached;
use crate::security::Security;
use crate::settings::Settings;
use crate::tls::{Tls, indicated_name};
use crate::wire::Wire;

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The server's host name, which TLS tells it (SNI). An address literal
    /// where it has no name.
    pub host: String,
    /// Its address and port.
    pub address: SocketAddr,
    /// The address of ours to connect from; None leaves it to the operating
    /// system. Of the same family as `address`.
    pub source: Option<IpAddr>,
    /// TLS from the start (RFC 8314 §3.3), as on port 465, instead of STARTTLS.
    pub implicit_tls: bool,
}

/// A connector cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name for EHLO is not one.
    #[error("`{0}` is no host name to greet other servers with; use one such as mail.example.org")]
    Name(String),
    /// A certificate of a further authority cannot be used.
    #[error("the certificate of an authority is not usable: {0}; use a CA certificate")]
    Authority(rustls::Error),
}

/// Opens connections. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connector {
    settings: Arc<Settings>,
    name: Arc<str>,
    tls: Tls,
}

impl Connector {
    /// A connector that says `name` in EHLO: the host's name, or its address as
    /// a literal (RFC 5321 §4.1.4). Besides the public authorities it trusts
    /// those in `authorities`, under [`Security::Verified`].
    pub fn new(
        settings: Settings,
        name: &str,
        authorities: &[CertificateDer<'static>],
    ) -> Result<Self, Error> {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        if name.is_empty() || name.len() > 255 || !name.bytes().all(known) {
            return Err(Error::Name(name.to_owned()));
        }
        Ok(Self {
            settings: Arc::new(settings),
            name: name.into(),
            tls: Tls::new(authorities).map_err(Error::Authority)?,
        })
    }

    /// Connects, is greeted, greets, starts TLS as `security` demands and logs
    /// in where a login is given. The connection is ready for a message.
    pub async fn open(
        &self,
        peer: &Peer,
        security: &Security,
        login: Option<&Login>,
    ) -> Result<Connection, Failure> {
        let reached = self.reach(peer).await?;
        self.open_over(reached, peer, security, login).await
    }

    /// The same over a connection that is there already.
    pub async fn open_over(
        &self,
        Reached(stream): Reached,
        peer: &Peer,
        security: &Security,
        login: Option<&Login>,
    ) -> Result<Connection, Failure> {
        let local = stream.local_addr().ok().map(|address| address.ip());
        let mut connection = Connection::new(Wire::new(stream), local, self.settings.clone());
        let prepared = self.prepare(&mut connection, peer, security, login).await;
        match prepared {
            Ok(()) => Ok(connection),
            Err(failure) => Err(failure.with_local(local)),
        }
    }

    /// All that comes before the first message.
    async fn prepare(
        &self,
        connection: &mut Connection,
        peer: &Peer,
        security: &Security,
        login: Option<&Login>,
    ) -> Result<(), Failure> {
        let name = indicated_name(&peer.host, peer.address.ip());
        if peer.implicit_tls {
            connection
                .handshake(self.tls.config(security), name)
                .await?;
            connection.greeting().await?;
            connection.hello(&self.name).await?;
        } else {
            connection.greeting().await?;
            connection.hello(&self.name).await?;
            if connection.offers_tls(security).await? {
                connection
                    .handshake(self.tls.config(security), name)
                    .await?;
                // RFC 3207 §4.2: what was learned in the clear counts no more.
                connection.hello(&self.name).await?;
            }
        }
        if let Some(login) = login {
            connection.log_in(login).await?;
        }
        Ok(())
    }

    pub(crate) async fn reach(&self, peer: &Peer) -> Result<Reached, Failure> {
        let address = peer.address;
        // RFC 3463 §3.5: 4.4.1, no answer from the host.
        let failed = |why: &dyn std::fmt::Display| {
            let text = format!("cannot connect to {} at {address}: {why}", peer.host);
            Failure::new(Phase::Connect, (4, 4, 1), text)
        };
        let connecting = async {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            if let Some(source) = peer.source {
                socket.bind(SocketAddr::new(source, 0))?;
            }
            let stream = socket.connect(address).await?;
            // The end of a message is a few bytes that must not wait for more.
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        };
        match timeout(self.settings.connect_timeout, connecting).await {
            Ok(connected) => connected.map(Reached).map_err(|error| failed(&error)),
            Err(_) => Err(failed(&"no answer")),
        }
    }
}
