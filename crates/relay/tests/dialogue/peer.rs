//! A peer that follows a script, and what the client's side of it needs.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use postrider_relay::{
    Connection, Connector, Envelope, Failure, Peer, Recipient, Security, Settings, Source,
    SourceError,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::certificate::Certificate;

pub(crate) const NAME: &str = "mx.example.test";
/// All that a server here may offer, but STARTTLS.
pub(crate) const FULL: &str = "250-mx.example.test\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n\
    250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250-CHUNKING\r\n250 REQUIRETLS\r\n";
pub(crate) const PIPELINING: &str = "250-mx.example.test\r\n250 PIPELINING\r\n";
pub(crate) const BARE: &str = "250 mx.example.test\r\n";
pub(crate) const WITH_TLS: &str = "250-mx.example.test\r\n250 STARTTLS\r\n";

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

/// The server's end of a connection.
pub(crate) struct Wire {
    socket: BufStream<Box<dyn Socket>>,
}

impl Wire {
    pub(crate) async fn say(&mut self, text: &str) {
        // The client may have gone; what it has made of the script is asked elsewhere.
        let _ = self.socket.write_all(text.as_bytes()).await;
        let _ = self.socket.flush().await;
    }

    /// Reads a line, which must be `expected`.
    pub(crate) async fn hear(&mut self, expected: &str) {
        assert_eq!(self.line().await, expected);
    }

    pub(crate) async fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            match self.socket.read_u8().await {
                Ok(byte) => line.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    /// Hears `command` and answers.
    pub(crate) async fn on(&mut self, command: &str, answer: &str) {
        self.hear(command).await;
        self.say(answer).await;
    }

    /// Greets, and offers what `hello` says.
    pub(crate) async fn greet(&mut self, hello: &str) {
        self.say("220 mx.example.test\r\n").await;
        self.on("EHLO client.example.test", hello).await;
    }

    /// Takes MAIL and one RCPT, one by one.
    pub(crate) async fn envelope(&mut self) {
        self.on("MAIL FROM:<sue@example.org>", "250 OK\r\n").await;
        self.on("RCPT TO:<ann@example.test>", "250 OK\r\n").await;
    }

    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.socket.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// Content up to the dot that ends it, which is included.
    pub(crate) async fn content(&mut self) -> String {
        let mut content = String::new();
        loop {
            let line = self.line().await;
            content.push_str(&line);
            content.push_str("\r\n");
            if line == "." {
                return content;
            }
        }
    }

    /// All that the client still sends, until it closes.
    pub(crate) async fn rest(&mut self) -> String {
        String::from_utf8(self.raw_rest().await).unwrap()
    }

    pub(crate) async fn raw_rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A client that gives up may reset the connection.
        let _ = self.socket.read_to_end(&mut rest).await;
        rest
    }

    pub(crate) async fn start_tls(self, certificate: &Certificate) -> std::io::Result<Self> {
        self.start_tls_with(certificate.acceptor()).await
    }

    pub(crate) async fn start_tls_with(self, acceptor: TlsAcceptor) -> std::io::Result<Self> {
        let socket = acceptor.accept(self.socket.into_inner()).await?;
        Ok(Self {
            socket: BufStream::new(Box::new(socket)),
        })
    }
}

/// A server for one connection, which gives what its script ends with.
pub(crate) struct Server<T> {
    pub(crate) address: SocketAddr,
    task: JoinHandle<T>,
}

impl<T> Server<T> {
    /// The script's end; its panic is the test's.
    pub(crate) async fn end(self) -> T {
        self.task.await.unwrap()
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer {
            host: NAME.into(),
            address: self.address,
            source: None,
            implicit_tls: false,
        }
    }

    pub(crate) async fn open(&self) -> Result<Connection, Failure> {
        self.open_with(&Security::Plain).await
    }

    pub(crate) async fn open_with(&self, security: &Security) -> Result<Connection, Failure> {
        connector().open(&self.peer(), security, None).await
    }
}

pub(crate) async fn serve<T, F>(script: impl FnOnce(Wire) -> F + Send + 'static) -> Server<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    serve_socket(|socket| {
        script(Wire {
            socket: BufStream::new(Box::new(socket)),
        })
    })
    .await
}

pub(crate) async fn serve_socket<T, F>(
    script: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> Server<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        script(socket).await
    });
    Server { address, task }
}

pub(crate) fn connector() -> Connector {
    connector_with(patient())
}

/// A client that waits for what it must not get fails its test within a minute.
fn patient() -> Settings {
    let long = Duration::from_secs(20);
    Settings {
        connect_timeout: long,
        greeting_timeout: long,
        handshake_timeout: long,
        command_timeout: long,
        data_init_timeout: long,
        data_block_timeout: long,
        data_end_timeout: long,
    }
}

pub(crate) fn connector_with(settings: Settings) -> Connector {
    Connector::new(settings, "client.example.test", &[]).unwrap()
}

/// Settings under which a peer that is silent where `short` says is given up soon.
pub(crate) fn impatient(short: impl Fn(&mut Settings) -> &mut Duration) -> Connector {
    let mut settings = patient();
    // Long enough for all else that it times, on a busy machine.
    *short(&mut settings) = Duration::from_secs(1);
    connector_with(settings)
}

pub(crate) fn envelope(recipients: &[&str]) -> Envelope {
    let recipients = recipients.iter().map(|path| Recipient {
        path: (*path).into(),
        ..Recipient::default()
    });
    Envelope {
        reverse_path: Some("sue@example.org".into()),
        recipients: recipients.collect(),
        ..Envelope::default()
    }
}

/// A message in pieces; None is where it cannot be read.
pub(crate) struct Pieces {
    pieces: Vec<Option<Bytes>>,
    size: u64,
}

impl Pieces {
    pub(crate) fn new(pieces: &[&str]) -> Self {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|p| Some(Bytes::copy_from_slice(p.as_bytes())))
            .collect();
        let size = pieces.iter().flatten().map(|p| p.len() as u64).sum();
        Self { pieces, size }
    }

    pub(crate) fn claiming(mut self, size: u64) -> Self {
        self.size = size;
        self
    }

    pub(crate) fn then_error(mut self) -> Self {
        self.pieces.push(None);
        self
    }
}

impl Source for Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        if self.pieces.is_empty() {
            return Ok(None);
        }
        match self.pieces.remove(0) {
            Some(piece) => Ok(Some(piece)),
            None => Err(SourceError::new("the disk is gone")),
        }
    }

    fn size(&self) -> u64 {
        self.size
    }
}
