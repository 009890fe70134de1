//! Mutual TLS between nodes: both sides show a certificate of the cluster's CA. This
//! node's own may be exchanged while it runs: connections that are made from then on
//! show the new one, on both sides, and those that are there go on.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection is not usable.
    #[error("cannot set up the connection to {target}: {source}; check the address")]
    Setup {
        /// The other side.
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
    pub(crate) fn certificate(error: impl fmt::Display) -> Self {
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
    /// Its private key. A secret.
    pub key: String,
}

/// How nodes talk. Clones are one: what one of them is told holds for all.
#[derive(Clone, Debug)]
pub enum Tls {
    /// In the clear: loopback, and tests.
    Off,
    /// Mutual TLS.
    Mutual(Mutual),
}

impl Tls {
    /// Mutual TLS with this identity.
    pub fn mutual(identity: &Identity) -> Result<Self, Error> {
        Mutual::new(identity).map(Self::Mutual)
    }

    /// Shows another certificate from the next connection on. Its authority stays
    /// the one that it was. On an error the old certificate stays.
    pub fn renew(&self, certificate: &str, key: &str) -> Result<(), Error> {
        if let Self::Mutual(mutual) = self {
            mutual.own.0.store(own(certificate, key, &provider())?);
        }
        Ok(())
    }
}

/// Both sides of mutual TLS, ready for use.
#[derive(Clone)]
pub struct Mutual {
    own: Arc<Own>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl fmt::Debug for Mutual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutual")
    }
}

impl Mutual {
    fn new(identity: &Identity) -> Result<Self, Error> {
        let provider = provider();
        let key = own(&identity.certificate, &identity.key, &provider)?;
        let own = Arc::new(Own(ArcSwap::new(key)));
        let roots = Arc::new(roots(&identity.ca)?);
        Ok(Self {
            client: Arc::new(client(own.clone(), roots.clone(), provider.clone())?),
            server: Arc::new(server(own.clone(), roots, provider)?),
            own,
        })
    }

    /// For calls.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.client.clone()
    }

    /// For a server whose callers may come without a certificate: they must be told
    /// apart afterwards.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }
}

fn client(
    own: Arc<Own>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(Error::certificate)?
        .with_root_certificates(roots)
        .with_client_cert_resolver(own);
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would go on with the certificates of the one before.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn server(
    own: Arc<Own>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
) -> Result<ServerConfig, Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(Error::certificate)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(Error::certificate)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(own);
    config.alpn_protocols = vec![b"h2".to_vec()];
    // As on the other side.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// This node's certificate, as it is now.
struct Own(ArcSwap<CertifiedKey>);

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Own")
    }
}

impl ResolvesServerCert for Own {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Whether a private key belongs to a certificate, both PEM.
pub fn belong_together(certificate: &str, key: &str) -> bool {
    own(certificate, key, &provider()).is_ok()
}

/// Refuses an identity that the others would not take for one of their cluster: its
/// certificate must be signed by its authority and be good at this time, and the key
/// must belong to it.
pub fn check_identity(identity: &Identity) -> Result<(), Error> {
    let provider = provider();
    own(&identity.certificate, &identity.key, &provider)?;
    let chain = certificates(&identity.certificate)?;
    let none = || Error::Certificate("there is none".into());
    let (end, between) = chain.split_first().ok_or_else(none)?;
    let roots = Arc::new(roots(&identity.ca)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
    let verifier = verifier.build().map_err(Error::certificate)?;
    let verified = verifier.verify_client_cert(end, between, UnixTime::now());
    verified.map(drop).map_err(Error::certificate)
}

/// A certificate and the key that belongs to it.
fn own(
    certificate: &str,
    key: &str,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, Error> {
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(Error::certificate)?;
    let own = CertifiedKey::from_der(certificates(certificate)?, key, provider);
    own.map(Arc::new).map_err(Error::certificate)
}

fn roots(ca: &str) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for root in certificates(ca)? {
        roots.add(root).map_err(Error::certificate)?;
    }
    Ok(roots)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    all.map_err(Error::certificate)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
