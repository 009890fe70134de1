//! Mutual TLS between nodes: both sides show a certificate of the cluster's CA.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::{Certificate, ClientTlsConfig, ServerTlsConfig};

use crate::authority::node_name;

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
    /// A certificate or a key is not what it should be.
    #[error("unusable certificate: {0}")]
    Certificate(String),
    /// A node asks for a certificate in a way that none is given for.
    #[error(
        "the request for a certificate is refused: {0}; run the cluster's version of the program"
    )]
    SigningRequest(String),
}

impl Error {
    pub(crate) fn certificate(error: impl std::fmt::Display) -> Self {
        Self::Certificate(error.to_string())
    }

    pub(crate) fn crypto(error: rcgen::Error) -> Self {
        Self::certificate(error)
    }
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
    /// For calls to `node`, or to any node of the cluster.
    pub(crate) fn client(&self, node: Option<u64>) -> Option<ClientTlsConfig> {
        let Self::Mutual(identity) = self else {
            return None;
        };
        let own = tonic::transport::Identity::from_pem(&identity.certificate, &identity.key);
        let config = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&identity.ca))
            .identity(own)
            .domain_name(node.map_or_else(|| identity.name.clone(), node_name));
        Some(config)
    }

    /// For a server whose callers all have a certificate.
    pub(crate) fn strict_server(&self) -> Option<ServerTlsConfig> {
        let Self::Mutual(identity) = self else {
            return None;
        };
        let own = tonic::transport::Identity::from_pem(&identity.certificate, &identity.key);
        let config = ServerTlsConfig::new()
            .identity(own)
            .client_ca_root(Certificate::from_pem(&identity.ca));
        Some(config)
    }

    /// For a server whose callers may come without a certificate: they must be
    /// told apart afterwards.
    pub(crate) fn server(&self) -> Result<Option<Arc<ServerConfig>>, Error> {
        let Self::Mutual(identity) = self else {
            return Ok(None);
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        for root in certificates(&identity.ca)? {
            roots.add(root).map_err(Error::certificate)?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(Error::certificate)?;
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(Error::certificate)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                certificates(&identity.certificate)?,
                key.map_err(Error::certificate)?,
            )
            .map_err(Error::certificate)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Some(Arc::new(config)))
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    all.map_err(Error::certificate)
}
