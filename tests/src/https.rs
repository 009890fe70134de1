//! A web server on loopback with one answer at a time, and certificates for servers
//! of tests.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// An authority of a test's own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new authority, which nobody trusts yet.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self(issuer))
    }

    /// Writes its certificate to `file` (PEM).
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        Ok(std::fs::write(file, self.0.pem())?)
    }

    /// TLS for a server that is all of `hosts`.
    pub fn acceptor(&self, hosts: &[&str]) -> anyhow::Result<TlsAcceptor> {
        Ok(self.certified(hosts)?.0)
    }

    /// The same with its certificate (DER).
    pub fn certified(&self, hosts: &[&str]) -> anyhow::Result<(TlsAcceptor, Vec<u8>)> {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(hosts)?.signed_by(&key, &self.0)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok((acceptor, certificate.der().to_vec()))
    }
}

/// A POST that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Request line and fields, in lower case.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

/// A running server; gone when dropped.
pub struct HttpsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    answer: Mutex<String>,
    requests: AtomicUsize,
    posted: Mutex<Vec<Posted>>,
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HttpsServer {
    /// A server on a free port of 127.0.0.1 that answers everything with 404.
    pub async fn start(tls: TlsAcceptor) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            answer: Mutex::new("HTTP/1.1 404 Not Found\r\n\r\n".into()),
            requests: AtomicUsize::new(0),
            posted: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&serving), tls.clone());
                // A client that goes away is no matter.
                tokio::spawn(async move { drop(shared.serve(stream, tls).await) });
            }
        });
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers everything with `status`, such as `200 OK`, and `text` from now on.
    pub fn answer(&self, status: &str, text: &str) {
        let length = text.len();
        *self.shared.answer.lock() = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{text}"
        );
    }

    /// How many requests it has had.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// All that was posted so far.
    pub fn posted(&self) -> Vec<Posted> {
        self.shared.posted.lock().clone()
    }
}

impl Shared {
    async fn serve(&self, stream: TcpStream, tls: TlsAcceptor) -> anyhow::Result<()> {
        let mut stream = tls.accept(stream).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        let head = String::from_utf8(head)?.to_ascii_lowercase();
        let mut lines = head.lines();
        if let Some(length) = lines.find_map(|line| line.strip_prefix("content-length:")) {
            let mut body = vec![0; length.trim().parse()?];
            stream.read_exact(&mut body).await?;
            self.posted.lock().push(Posted { head, body });
        }
        let answer = self.answer.lock().clone();
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        Ok(())
    }
}
