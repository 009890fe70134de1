//! Mutual TLS between nodes: both sides show a certificate of the cluster's CA.

use std::path::{Path, PathBuf};

use tonic::transport::{Certificate, ClientTlsConfig, ServerTlsConfig};

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; check the path and the permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The address or the certificates are not usable.
    #[error("cannot set up the connection to {target}: {source}; check address and certificates")]
    Setup {
        /// The other side, or this one.
        target: String,
        /// Why not.
        source: tonic::transport::Error,
    },
    /// The address is no address.
    #[error("{0:?} is no address: use HOST:PORT")]
    Address(String),
}

/// PEM texts of a node.
#[derive(Clone)]
pub struct Identity {
    /// The CA that signs all nodes.
    pub ca: String,
    /// This node's chain.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// The name that all nodes' certificates carry.
    pub name: String,
}

impl Identity {
    /// Reads the PEM files.
    pub fn read(ca: &Path, certificate: &Path, key: &Path, name: &str) -> Result<Self, Error> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| Error::Read {
                path: path.to_owned(),
                source,
            })
        };
        Ok(Self {
            ca: read(ca)?,
            certificate: read(certificate)?,
            key: read(key)?,
            name: name.to_owned(),
        })
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.name)
    }
}

/// How nodes talk.
#[derive(Clone, Debug)]
pub enum Tls {
    /// In the clear: loopback, and tests.
    Off,
    /// Mutual TLS.
    Mutual(Identity),
}

impl Tls {
    pub(crate) fn client(&self) -> Option<ClientTlsConfig> {
        let Self::Mutual(identity) = self else {
            return None;
        };
        let own = tonic::transport::Identity::from_pem(&identity.certificate, &identity.key);
        let config = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&identity.ca))
            .identity(own)
            .domain_name(&identity.name);
        Some(config)
    }

    pub(crate) fn server(&self) -> Option<ServerTlsConfig> {
        let Self::Mutual(identity) = self else {
            return None;
        };
        let own = tonic::transport::Identity::from_pem(&identity.certificate, &identity.key);
        let config = ServerTlsConfig::new()
            .identity(own)
            .client_ca_root(Certificate::from_pem(&identity.ca));
        Some(config)
    }
}
