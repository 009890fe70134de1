//! Another mail server on loopback, which answers as a test wants and keeps what
//! it has taken.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Where a peer is in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its greeting.
    Greeting,
    /// EHLO.
    Hello,
    /// MAIL.
    Mail,
    /// RCPT.
    Recipient,
    /// DATA.
    Data,
    /// The final dot.
    End,
}

/// What it does there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// What a good server does.
    Accept,
    /// The same after a while.
    AcceptAfter(Duration),
    /// This reply, without its CRLF.
    Reply(String),
    /// Resets the connection.
    Reset,
    /// Takes the message, and resets the connection before it says so.
    TakeAndReset,
}

impl Act {
    /// The act when it is time for it.
    async fn now(self) -> Self {
        if let Self::AcceptAfter(span) = self {
            sleep(span).await;
        }
        self
    }
}

/// A message that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Where the client connected from.
    pub client: IpAddr,
    /// The MAIL command.
    pub mail: String,
    /// The RCPT commands that were accepted.
    pub recipients: Vec<String>,
    /// The content, its dots undone.
    pub content: String,
}

/// What a peer does at a stage, the `visit`th time (from 0) that it is there; the
/// command is given.
type Script = dyn Fn(Stage, usize, &str) -> Act + Send + Sync;

/// A running server; gone when dropped.
pub struct Peer {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    script: Box<Script>,
    visits: Mutex<[usize; 6]>,
    taken: Mutex<Vec<Taken>>,
    extensions: &'static str,
    tls: Option<TlsAcceptor>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// A server on a free port of 127.0.0.2 that takes everything.
    pub async fn start() -> anyhow::Result<Self> {
        Self::scripted(|_, _, _| Act::Accept).await
    }

    /// One that does what `script` says.
    pub async fn scripted(
        script: impl Fn(Stage, usize, &str) -> Act + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        Self::offering("PIPELINING\n8BITMIME\nSIZE 10000000", script).await
    }

    /// One that offers these extensions, a line each.
    pub async fn offering(
        extensions: &'static str,
        script: impl Fn(Stage, usize, &str) -> Act + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let free = SocketAddr::from(([127, 0, 0, 2], 0));
        Self::listening(free, extensions, script).await
    }

    /// One at this address.
    pub async fn listening(
        address: SocketAddr,
        extensions: &'static str,
        script: impl Fn(Stage, usize, &str) -> Act + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        Self::serving(address, extensions, None, script).await
    }

    /// One on a free port of 127.0.0.2 that offers STARTTLS.
    pub async fn secured(
        tls: TlsAcceptor,
        script: impl Fn(Stage, usize, &str) -> Act + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let free = SocketAddr::from(([127, 0, 0, 2], 0));
        Self::securing(free, "PIPELINING\n8BITMIME\nSTARTTLS", tls, script).await
    }

    /// One at this address that offers these extensions, STARTTLS among them, before and
    /// after the handshake.
    pub async fn securing(
        address: SocketAddr,
        extensions: &'static str,
        tls: TlsAcceptor,
        script: impl Fn(Stage, usize, &str) -> Act + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        Self::serving(address, extensions, Some(tls), script).await
    }

    async fn serving(
        address: SocketAddr,
        extensions: &'static str,
        tls: Option<TlsAcceptor>,
        script: impl Fn(Stage, usize, &str) -> Act + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            script: Box::new(script),
            visits: Mutex::default(),
            taken: Mutex::default(),
            extensions,
            tls,
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                // A connection that breaks is what some tests are about.
                tokio::spawn(async move { drop(shared.session(stream).await) });
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

    /// What it has taken so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.shared.taken.lock().clone()
    }

    /// How often it was at a stage.
    pub fn visits(&self, stage: Stage) -> usize {
        self.shared.visits.lock()[stage as usize]
    }

    /// Waits until it has taken `count` messages.
    pub async fn has_taken(&self, count: usize) -> anyhow::Result<Vec<Taken>> {
        // What a node that was killed had in hand is taken up when its lease of a
        // minute has ended.
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let taken = self.taken();
            if taken.len() >= count {
                return Ok(taken);
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{} of {count} messages came",
                taken.len()
            );
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The session is over.
struct Over;

/// What the client wants after a talk.
enum Next {
    /// A handshake.
    StartTls(TlsAcceptor),
    /// Nothing more.
    Quit,
}

/// A connection in the clear or under TLS.
trait Socket: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Socket for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

impl Shared {
    async fn session(&self, stream: TcpStream) -> Result<(), Over> {
        let mut stream = BufReader::new(stream);
        self.act(&mut stream, Stage::Greeting, "", "220 peer.test ready")
            .await?;
        if let Next::StartTls(acceptor) = self.talk(&mut stream).await? {
            let stream = acceptor.accept(stream.into_inner()).await?;
            self.talk(&mut BufReader::new(stream)).await?;
        }
        Ok(())
    }

    async fn talk<S: Socket>(&self, stream: &mut BufReader<S>) -> Result<Next, Over> {
        let hello = format!("peer.test\n{}", self.extensions);
        let last = hello.lines().count();
        let hello: Vec<String> = (1..)
            .zip(hello.lines())
            .map(|(n, line)| format!("250{}{line}", if n == last { ' ' } else { '-' }))
            .collect();
        let hello = hello.join("\r\n");
        let mut mail = String::new();
        let mut recipients = Vec::new();
        loop {
            let line = line(stream).await?;
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            match &*verb {
                "EHLO" | "HELO" => {
                    self.act(stream, Stage::Hello, &line, &hello).await?;
                }
                "MAIL" => {
                    recipients.clear();
                    mail = line.clone();
                    self.act(stream, Stage::Mail, &line, "250 2.1.0 fine")
                        .await?;
                }
                "RCPT" => {
                    if self
                        .act(stream, Stage::Recipient, &line, "250 2.1.5 fine")
                        .await?
                    {
                        recipients.push(line.clone());
                    }
                }
                "DATA" => {
                    // RFC 2920 §3.1: DATA may come behind recipients that were refused.
                    if recipients.is_empty() {
                        stream.write_all(b"554 5.5.1 no recipients\r\n").await?;
                        continue;
                    }
                    if self.act(stream, Stage::Data, &line, "354 go on").await? {
                        let content = content(stream).await?;
                        let taken = Taken {
                            client: stream.get_ref().tcp().peer_addr()?.ip(),
                            mail: mail.clone(),
                            recipients: std::mem::take(&mut recipients),
                            content,
                        };
                        self.end(stream, taken).await?;
                    }
                }
                "STAR" => {
                    let Some(tls) = &self.tls else {
                        stream.write_all(b"502 5.5.1 no\r\n").await?;
                        continue;
                    };
                    stream.write_all(b"220 2.0.0 go on\r\n").await?;
                    return Ok(Next::StartTls(tls.clone()));
                }
                "RSET" | "NOOP" => {
                    recipients.clear();
                    stream.write_all(b"250 2.0.0 fine\r\n").await?;
                }
                "QUIT" => {
                    stream.write_all(b"221 2.0.0 bye\r\n").await?;
                    return Ok(Next::Quit);
                }
                _ => stream.write_all(b"500 5.5.2 what?\r\n").await?,
            }
        }
    }

    /// Does what the script says; whether that was to accept.
    async fn act<S: Socket>(
        &self,
        stream: &mut BufReader<S>,
        stage: Stage,
        command: &str,
        good: &str,
    ) -> Result<bool, Over> {
        let (accepts, reply) = match self.next(stage, command).now().await {
            Act::Accept | Act::AcceptAfter(_) => (true, good.to_owned()),
            Act::Reply(reply) => (false, reply),
            Act::Reset | Act::TakeAndReset => return Err(reset(stream)),
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        Ok(accepts)
    }

    async fn end<S: Socket>(&self, stream: &mut BufReader<S>, taken: Taken) -> Result<(), Over> {
        let reply = match self.next(Stage::End, "").now().await {
            Act::Accept | Act::AcceptAfter(_) => {
                self.taken.lock().push(taken);
                "250 2.0.0 queued as 42".to_owned()
            }
            Act::Reply(reply) => reply,
            Act::Reset => return Err(reset(stream)),
            Act::TakeAndReset => {
                self.taken.lock().push(taken);
                return Err(reset(stream));
            }
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        Ok(())
    }

    fn next(&self, stage: Stage, command: &str) -> Act {
        let visit = {
            let mut visits = self.visits.lock();
            let visit = visits[stage as usize];
            visits[stage as usize] += 1;
            visit
        };
        (self.script)(stage, visit, command)
    }
}

/// Has the connection end with a reset instead of a close.
fn reset<S: Socket>(stream: &mut BufReader<S>) -> Over {
    // What cannot be set ends with a close, which is as bad for the client.
    let _ = socket2::SockRef::from(stream.get_ref().tcp()).set_linger(Some(Duration::ZERO));
    Over
}

async fn line<S: Socket>(stream: &mut BufReader<S>) -> Result<String, Over> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line).await? == 0 {
        return Err(Over);
    }
    let line = String::from_utf8_lossy(&line);
    Ok(line.trim_end().to_owned())
}

async fn content<S: Socket>(stream: &mut BufReader<S>) -> Result<String, Over> {
    let mut content = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Err(Over);
        }
        if line == b".\r\n" {
            return Ok(String::from_utf8_lossy(&content).into_owned());
        }
        let line = line.strip_prefix(b".").unwrap_or(&line);
        content.extend_from_slice(line);
    }
}
