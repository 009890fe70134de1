//! Fetches the text of a policy over HTTPS (RFC 8461 §3.3).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use postrider_types::DomainName;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Problem, ProblemKind, Settings};
use crate::{Resolver, SetupError};

/// The longest policy, in bytes.
const MAX_SIZE: usize = 64 << 10;

/// The longest head of a response, in bytes, not counting what one read adds.
const MAX_HEAD: usize = 64 << 10;

const PATH: &str = "/.well-known/mta-sts.txt";

/// Fetches policies.
pub(super) struct Fetcher {
    tls: TlsConnector,
    port: u16,
    connect_timeout: Duration,
    timeout: Duration,
}

impl Fetcher {
    pub(super) fn new(settings: &Settings) -> Result<Self, SetupError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|e| SetupError::Part {
                part: "TLS for policy servers",
                reason: e.to_string(),
            })?
            .with_root_certificates(authorities(settings)?)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            port: settings.port,
            connect_timeout: settings.connect_timeout,
            timeout: settings.timeout,
        })
    }

    /// The text of the policy of `domain`.
    pub(super) async fn fetch(
        &self,
        resolver: &Resolver,
        domain: &DomainName,
    ) -> Result<String, Problem> {
        let host = format!("mta-sts.{domain}");
        let fetched = tokio::time::timeout(self.timeout, self.get(resolver, &host)).await;
        fetched
            .unwrap_or_else(|_| Err(problem("it took too long")))
            .map_err(|Problem { kind, text }| {
                Problem::new(kind, format!("cannot fetch https://{host}{PATH}: {text}"))
            })
    }

    async fn get(&self, resolver: &Resolver, host: &str) -> Result<String, Problem> {
        let stream = self.connect(resolver, host).await?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(http)?;
        // The connection ends with the set.
        let mut driver = JoinSet::new();
        driver.spawn(connection);

        let authority = match self.port {
            443 => host.to_owned(),
            port => format!("{host}:{port}"),
        };
        let request = Request::get(PATH)
            .header(header::HOST, authority)
            .header(header::ACCEPT, "text/plain")
            .body(Empty::<Bytes>::new())
            .map_err(|e| problem(e.to_string()))?;
        let response = sender.send_request(request).await.map_err(http)?;
        check(&response)?;
        let body = Limited::new(response.into_body(), MAX_SIZE).collect().await;
        let body = body.map_err(|e| match e.downcast_ref::<hyper::Error>() {
            Some(error) => problem(error.to_string()),
            None => invalid(format!("it is longer than {MAX_SIZE} bytes")),
        })?;
        let text = String::from_utf8(body.to_bytes().into());
        text.map_err(|_| invalid("it is no UTF-8 text"))
    }

    /// Connects to the first address of `host` that takes the connection.
    async fn connect(
        &self,
        resolver: &Resolver,
        host: &str,
    ) -> Result<TlsStream<TcpStream>, Problem> {
        let addresses = resolver.addresses(host).await;
        let addresses = addresses.map_err(|e| problem(e.text()))?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| problem("the name is no host name"))?;
        let mut last = problem("it has no address");
        for address in addresses {
            let connection = async {
                let stream = TcpStream::connect((address, self.port)).await?;
                self.tls.connect(name.clone(), stream).await
            };
            last = match tokio::time::timeout(self.connect_timeout, connection).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => connection_problem(&error),
                Err(_) => problem(format!("{address} does not answer")),
            };
        }
        Err(last)
    }
}

/// RFC 8461 §3.3: only a 200 with plain text is a policy; redirects are not
/// followed.
fn check(response: &Response<Incoming>) -> Result<(), Problem> {
    let status = response.status();
    if status.is_redirection() {
        return Err(problem("it redirects, which is not allowed"));
    }
    if status != StatusCode::OK {
        return Err(problem(format!("the server answers {status}")));
    }
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    match essence.eq_ignore_ascii_case("text/plain") {
        true => Ok(()),
        false => Err(invalid("its type is not text/plain")),
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

fn problem(text: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Fetch, text)
}

fn invalid(text: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Invalid, text)
}

fn http(error: hyper::Error) -> Problem {
    problem(error.to_string())
}

fn connection_problem(error: &io::Error) -> Problem {
    let tls = error.get_ref().and_then(|e| e.downcast_ref());
    match tls {
        Some(error @ rustls::Error::InvalidCertificate(_)) => {
            Problem::new(ProblemKind::Certificate, error.to_string())
        }
        _ => problem(error.to_string()),
    }
}
