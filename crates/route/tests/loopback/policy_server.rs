//! A policy server on loopback that answers what it is told; a place for reports,
//! too.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A policy server; ends when it is dropped.
pub(crate) struct PolicyServer {
    pub(crate) address: SocketAddr,
    authority: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    answer: Mutex<Option<Vec<u8>>>,
    requests: Mutex<Vec<String>>,
    bodies: Mutex<Vec<Vec<u8>>>,
    connections: AtomicUsize,
}

impl PolicyServer {
    /// Starts one whose certificate is for `host`.
    pub(crate) async fn start(host: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(params, key).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();

        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answer: Mutex::new(None),
            requests: Mutex::default(),
            bodies: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(listener, acceptor, shared.clone()));
        Self {
            address,
            authority: authority.pem(),
            shared,
            _tasks: tasks,
        }
    }

    /// Writes the authority behind its certificate to `file`.
    pub(crate) fn write_authority(&self, file: &Path) {
        std::fs::write(file, &self.authority).unwrap();
    }

    /// Answers with `policy` from now on.
    pub(crate) fn serve(&self, policy: &str) {
        let length = policy.len();
        self.respond(&format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {length}\r\n\r\n{policy}"
        ));
    }

    /// Answers with these bytes from now on.
    pub(crate) fn respond(&self, response: &str) {
        *self.shared.answer.lock() = Some(response.as_bytes().to_vec());
    }

    /// Takes requests and answers none from now on.
    pub(crate) fn be_silent(&self) {
        *self.shared.answer.lock() = None;
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().clone()
    }

    /// The bodies of all requests that had one so far.
    pub(crate) fn bodies(&self) -> Vec<Vec<u8>> {
        self.shared.bodies.lock().clone()
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

async fn listen(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        shared.connections.fetch_add(1, Ordering::SeqCst);
        connections.spawn(answer(stream, acceptor.clone(), shared.clone()));
    }
}

/// One request and its answer; a client that goes away is no matter.
async fn answer(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    if let Some(length) = length(&head) {
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        shared.bodies.lock().push(body);
    }
    shared.requests.lock().push(head);
    let answer = shared.answer.lock().clone();
    match answer {
        Some(answer) => {
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
        None => std::future::pending().await,
    }
}

fn length(head: &str) -> Option<usize> {
    let head = head.to_ascii_lowercase();
    let mut lines = head.lines();
    let value = lines.find_map(|line| line.strip_prefix("content-length:"))?;
    value.trim().parse().ok()
}
