//! A client's half of a connection: lines, exact byte counts, plain or TLS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// How long a test waits for any one answer.
const PATIENCE: Duration = Duration::from_secs(30);

trait Duplex: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send> Duplex for T {}

/// A connection to a server.
pub struct Wire {
    stream: BufReader<Box<dyn Duplex>>,
}

impl Wire {
    /// Connects in the clear.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        Self::over(TcpStream::connect(address).await.context("connecting")?)
    }

    /// Connects in the clear from an address of this machine.
    pub async fn connect_from(source: IpAddr, address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(source, 0))?;
        Self::over(socket.connect(address).await.context("connecting")?)
    }

    fn over(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(Box::new(stream)),
        })
    }

    /// Goes over to TLS, trusting only `authority` (PEM).
    pub async fn start_tls(self, authority: &[u8]) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority)?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("localhost")?;
        let stream = connector.connect(name, self.stream.into_inner()).await?;
        Ok(Self {
            stream: BufReader::new(Box::new(stream)),
        })
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        tokio::time::timeout(PATIENCE, async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        })
        .await
        .context("the server does not read")??;
        Ok(())
    }

    /// The next line, with its line end. Fails at the end of the stream.
    pub async fn line(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut line = Vec::new();
        tokio::time::timeout(PATIENCE, self.stream.read_until(b'\n', &mut line))
            .await
            .context("no answer")??;
        ensure!(line.ends_with(b"\n"), "the server closed the connection");
        Ok(line)
    }

    /// The next `count` bytes.
    pub async fn exactly(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        tokio::time::timeout(PATIENCE, self.stream.read_exact(&mut bytes))
            .await
            .context("no answer")??;
        Ok(bytes)
    }

    /// Everything up to the end of the stream, at most 1 MiB.
    pub async fn to_end(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.stream).take(1 << 20);
        tokio::time::timeout(PATIENCE, limited.read_to_end(&mut bytes))
            .await
            .context("the server neither answers nor closes")?
            .or_else(|error| match error.kind() {
                std::io::ErrorKind::ConnectionReset => Ok(0),
                _ => Err(error),
            })?;
        Ok(bytes)
    }
}
