//! Connections to other nodes, made when first used and kept, and a server
//! with the same limits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postrider_types::Versions;
use rustls_pki_types::ServerName;
use tonic::transport::{Channel, Endpoint, Server};

use crate::authority::{NODE_NAME, node_name};
use crate::connector::Connector;
use crate::guard::agent;
use crate::tls::{Error, Tls};

/// How long to wait for the other side.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// Between signs of life on a connection, and for the answer to one: after
    /// twice this a dead peer's calls fail.
    pub keepalive: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            keepalive: Duration::from_secs(2),
        }
    }
}

/// The node that an address must belong to, if that is known, and the address.
type Target = (Option<u64>, String);

/// One connection per target, shared by all calls; it reconnects by itself.
#[derive(Clone)]
pub struct Channels {
    tls: Tls,
    timeouts: Timeouts,
    versions: Versions,
    connector: Connector,
    open: Arc<Mutex<HashMap<Target, Channel>>>,
}

impl Channels {
    /// No connections yet.
    pub fn new(tls: Tls, timeouts: Timeouts) -> Self {
        Self {
            tls,
            timeouts,
            versions: Versions::PROGRAM,
            connector: Connector::tcp(timeouts.connect),
            open: Arc::default(),
        }
    }

    /// The same for a program of these versions, none of whose connections is open
    /// yet.
    pub fn speaking(self, versions: Versions) -> Self {
        Self {
            versions,
            open: Arc::default(),
            ..self
        }
    }

    /// The same over connections of another kind, none of which is open yet.
    pub fn over(self, connector: Connector) -> Self {
        Self {
            connector,
            open: Arc::default(),
            ..self
        }
    }

    /// The same with connections of its own: what is sent over them waits for
    /// nothing that is sent over these.
    pub fn apart(&self) -> Self {
        Self {
            open: Arc::default(),
            ..self.clone()
        }
    }

    /// The connection to whichever node of the cluster is at `address`
    /// (HOST:PORT). Needs no network: it connects with the first call.
    pub fn get(&self, address: &str) -> Result<Channel, Error> {
        self.to((None, address.to_owned()))
    }

    /// The same to `node` alone: under [`Tls::Mutual`] no call reaches another
    /// one, not even one that has got hold of its address.
    pub fn node(&self, node: u64, address: &str) -> Result<Channel, Error> {
        self.to((Some(node), address.to_owned()))
    }

    fn to(&self, target: Target) -> Result<Channel, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = open.get(&target) {
            return Ok(channel.clone());
        }
        let (node, address) = &target;
        let setup = |source| Error::Setup {
            target: address.clone(),
            source,
        };
        // The connector adds TLS, with the certificate of the moment.
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|_| Error::Address(address.clone()))?
            .user_agent(agent(self.versions))
            .map_err(setup)?
            .connect_timeout(self.timeouts.connect)
            .http2_keep_alive_interval(self.timeouts.keepalive)
            .keep_alive_timeout(self.timeouts.keepalive)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20);
        let channel = endpoint.connect_with_connector_lazy(self.connector(*node)?);
        open.insert(target, channel.clone());
        Ok(channel)
    }

    /// The way to `node`, or to any node of the cluster.
    fn connector(&self, node: Option<u64>) -> Result<Connector, Error> {
        let Tls::Mutual(mutual) = &self.tls else {
            return Ok(self.connector.clone());
        };
        let name = node.map_or_else(|| NODE_NAME.to_owned(), node_name);
        let name = ServerName::try_from(name).map_err(Error::certificate)?;
        Ok(self.connector.clone().secured(mutual.client(), name))
    }
}

/// A server with the limits that its clients expect, for connections of any kind. It
/// knows no TLS and asks no [`crate::Guard`]: nodes use [`crate::serve()`].
pub fn server(timeouts: Timeouts) -> Server {
    Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(timeouts.keepalive))
        .http2_keepalive_timeout(Some(timeouts.keepalive))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_concurrent_streams(4096)
}
