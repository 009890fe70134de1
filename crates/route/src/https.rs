//! [`Https`]: one request over HTTPS to a server with a valid certificate.
//!
//! Owns the connection and its bounds; follows no redirects, and leaves it to the
//! caller what an answer must be and how long all of it may take.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::http::request;
use hyper::{Response, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::sts::Settings;
use crate::{Resolver, SetupError};

/// The longest head of a response, in bytes, not counting what one read adds.
const MAX_HEAD: usize = 64 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpsError {
    /// The server's certificate is not valid.
    #[error("{0}")]
    Certificate(rustls::Error),
    /// The answer is longer than this many bytes.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl HttpsError {
    fn other(error: impl ToString) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<hyper::Error> for HttpsError {
    fn from(error: hyper::Error) -> Self {
        Self::other(error)
    }
}

/// Makes requests.
pub(crate) struct Https {
    tls: TlsConnector,
    connect_timeout: Duration,
}

/// An answer whose body was not read yet.
pub(crate) struct Answer {
    /// Its head.
    pub(crate) response: Response<Incoming>,
    /// The connection, which ends with the set.
    _driver: JoinSet<Result<(), hyper::Error>>,
}

impl Answer {
    /// The body, up to `most` bytes.
    pub(crate) async fn read(self, most: usize) -> Result<Bytes, HttpsError> {
        let body = Limited::new(self.response.into_body(), most).collect();
        let body = body
            .await
            .map_err(|e| match e.downcast_ref::<hyper::Error>() {
                Some(error) => HttpsError::other(error),
                None => HttpsError::TooLong(most),
            })?;
        Ok(body.to_bytes())
    }
}

impl Https {
    /// Reads the settings' file of authorities, if any.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SetupError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|e| SetupError::Part {
                part: "TLS for web servers",
                reason: e.to_string(),
            })?
            .with_root_certificates(authorities(settings)?)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            connect_timeout: settings.connect_timeout,
        })
    }

    /// Sends `request`, whose target is a path, with `body` to the server `host`.
    pub(crate) async fn ask(
        &self,
        resolver: &Resolver,
        (host, port): (&str, u16),
        request: request::Builder,
        body: Bytes,
    ) -> Result<Answer, HttpsError> {
        let stream = self.connect(resolver, host, port).await?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let authority = match port {
            443 => host.to_owned(),
            port => format!("{host}:{port}"),
        };
        let request = request.header(header::HOST, authority);
        let request = request.body(Full::new(body)).map_err(HttpsError::other)?;
        let response = sender.send_request(request).await?;
        Ok(Answer {
            response,
            _driver: driver,
        })
    }

    /// Connects to the first address of `host` that takes the connection.
    async fn connect(
        &self,
        resolver: &Resolver,
        host: &str,
        port: u16,
    ) -> Result<TlsStream<TcpStream>, HttpsError> {
        let addresses = resolver.addresses(host).await;
        let addresses = addresses.map_err(|e| HttpsError::other(e.text()))?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| HttpsError::other("the name is no host name"))?;
        let mut last = HttpsError::other("it has no address");
        for address in addresses {
            let connection = async {
                let stream = TcpStream::connect((address, port)).await?;
                self.tls.connect(name.clone(), stream).await
            };
            last = match tokio::time::timeout(self.connect_timeout, connection).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => connection_error(&error),
                Err(_) => HttpsError::other(format!("{address} does not answer")),
            };
        }
        Err(last)
    }
}

fn connection_error(error: &io::Error) -> HttpsError {
    let tls = error.get_ref().and_then(|e| e.downcast_ref());
    match tls {
        Some(error @ rustls::Error::InvalidCertificate(_)) => {
            HttpsError::Certificate(error.clone())
        }
        _ => HttpsError::other(error),
    }
}

fn authorities(settings: &Settings) -> Result<RootCertStore, SetupError> {
    let mut store = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let Some(file) = &settings.extra_authorities else {
        return Ok(store);
    };
    let refuse = |reason: String| SetupError::File {
        file: file.clone(),
        reason,
    };
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| refuse(format!("it is no valid PEM file: {e}")))?;
    if certificates.is_empty() {
        let reason = "it holds no certificate; expected are -----BEGIN CERTIFICATE----- blocks";
        return Err(refuse(reason.into()));
    }
    for certificate in certificates {
        let added = store.add(certificate);
        added.map_err(|e| refuse(format!("a certificate in it is no authority: {e}")))?;
    }
    Ok(store)
}
