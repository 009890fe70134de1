//! TLS for the server side: a certificate and key from files, read again when
//! the files change.
//!
//! A new file that cannot be used is logged and the old certificate stays: a
//! half-written renewal must not take the service down.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use postrider_types::human;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::connection::Socket;
use crate::{Drain, Error};

/// Where certificate and key lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// PEM file with the certificate, then its intermediates.
    pub certificate: PathBuf,
    /// PEM file with the private key (PKCS #8, PKCS #1 or SEC 1).
    pub key: PathBuf,
    /// How long a handshake may take.
    #[serde(default = "default_handshake_timeout", with = "human::duration")]
    pub handshake_timeout: Duration,
}

fn default_handshake_timeout() -> Duration {
    Duration::from_secs(10)
}

/// An acceptor of TLS 1.2 and 1.3. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    settings: TlsSettings,
    config: ArcSwap<ServerConfig>,
    // Kept over reloads, so that sessions resume.
    ticketer: Arc<dyn ProducesTickets>,
    seen: Mutex<Option<Fingerprint>>,
    valid: Mutex<Option<Validity>>,
}

/// How long a certificate is good, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Until then.
    pub until: i64,
}

impl Validity {
    /// Of the first certificate in a PEM text.
    pub fn of_pem(pem: &str) -> Option<Self> {
        let first = CertificateDer::pem_slice_iter(pem.as_bytes()).next()?;
        Self::of(&first.ok()?)
    }

    fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let validity = certificate.validity();
        Some(Self {
            until: validity.not_after.timestamp(),
        })
    }
}

/// Tells one version of the two files from another.
type Fingerprint = [(SystemTime, u64); 2];

impl Tls {
    /// Reads certificate and key.
    pub fn load(settings: TlsSettings) -> Result<Self, Error> {
        let ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        let seen = fingerprint(&settings);
        let (config, valid) = read(&settings, &ticketer)?;
        Ok(Self(Arc::new(Inner {
            valid: Mutex::new(valid),
            config: ArcSwap::from(config),
            ticketer,
            seen: Mutex::new(seen),
            settings,
        })))
    }

    /// Reads the files again, whether they have changed or not.
    pub fn reload(&self) -> Result<(), Error> {
        let inner = &*self.0;
        *inner.seen.lock() = fingerprint(&inner.settings);
        let (config, valid) = read(&inner.settings, &inner.ticketer)?;
        inner.config.store(config);
        *inner.valid.lock() = valid;
        Ok(())
    }

    /// Reads the files again if they have changed; true if they are in use now.
    /// An unusable version is reported once, not on each call.
    pub fn reload_if_changed(&self) -> Result<bool, Error> {
        let now = fingerprint(&self.0.settings);
        if now.is_none() || *self.0.seen.lock() == now {
            return Ok(false);
        }
        self.reload().map(|()| true)
    }

    /// Looks for changed files every `interval` until the drain begins.
    pub async fn watch(self, interval: Duration, drain: Drain) {
        loop {
            tokio::select! {
                () = drain.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            let file = self.0.settings.certificate.display();
            match self.reload_if_changed() {
                Ok(true) => tracing::info!(certificate = %file, "read the changed certificate"),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, "the changed certificate is not usable; the old one stays");
                }
            }
        }
    }

    /// When the certificate in use is good; None where it does not say so in a way that
    /// is understood.
    pub fn validity(&self) -> Option<Validity> {
        *self.0.valid.lock()
    }

    /// The settings it was made from.
    pub fn settings(&self) -> &TlsSettings {
        &self.0.settings
    }

    pub(crate) async fn accept(&self, socket: Socket) -> io::Result<TlsStream<Socket>> {
        let acceptor = TlsAcceptor::from(self.0.config.load_full());
        let handshake = acceptor.accept(socket);
        match tokio::time::timeout(self.0.settings.handshake_timeout, handshake).await {
            Ok(stream) => stream,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls")
            .field(&self.0.settings.certificate)
            .finish()
    }
}

fn fingerprint(settings: &TlsSettings) -> Option<Fingerprint> {
    let of = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    Some([of(&settings.certificate)?, of(&settings.key)?])
}

fn read(
    settings: &TlsSettings,
    ticketer: &Arc<dyn ProducesTickets>,
) -> Result<(Arc<ServerConfig>, Option<Validity>), Error> {
    let refuse = |file: &Path, reason: String| Error::Certificate {
        file: file.to_owned(),
        reason,
    };
    let pem = |file: &Path| fs::read(file).map_err(|e| refuse(file, e.to_string()));

    let file = &settings.certificate;
    let chain = CertificateDer::pem_slice_iter(&pem(file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| refuse(file, format!("it is no valid PEM file: {e}")))?;
    if chain.is_empty() {
        let reason = "it holds no certificate; expected are -----BEGIN CERTIFICATE----- blocks";
        return Err(refuse(file, reason.into()));
    }
    let valid = chain.first().and_then(|first| Validity::of(first));
    let file = &settings.key;
    let key = PrivateKeyDer::from_pem_slice(&pem(file)?)
        .map_err(|e| refuse(file, format!("it holds no usable private key: {e}")))?;

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| refuse(file, format!("key and certificate do not fit: {e}")))?;
    // Resumption is by tickets alone: it costs no memory per client.
    config.ticketer = ticketer.clone();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok((Arc::new(config), valid))
}
