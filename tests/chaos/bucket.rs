//! The way of one node to the bucket, on which an S3 server can be made to fail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How the server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As it is.
    Well,
    /// Answers each request with this status.
    Answers(u16),
    /// Takes requests and never answers.
    Silent,
    /// Does what is asked, and its answers are lost.
    Deaf,
    /// Answers after a while.
    Slow(Duration),
}

/// A running way; gone when dropped.
pub(crate) struct Way {
    mood: watch::Sender<Mood>,
    votes: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Way {
    /// From `address` to the server at `to`.
    pub(crate) async fn open(address: SocketAddr, to: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let (mood, watched) = watch::channel(Mood::Well);
        let votes = Arc::new(AtomicU64::default());
        let counted = votes.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, to, watched.clone(), counted.clone()));
            }
        });
        Ok(Self { mood, votes, task })
    }

    /// Changes how the server behaves; connections from before break.
    pub(crate) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// How many objects of the third vote were to be written while the server was well.
    pub(crate) fn votes(&self) -> u64 {
        self.votes.load(Ordering::Relaxed)
    }
}

/// One connection; it ends as soon as the mood changes.
async fn serve(
    stream: TcpStream,
    to: SocketAddr,
    mut watched: watch::Receiver<Mood>,
    votes: Arc<AtomicU64>,
) {
    let mood = *watched.borrow_and_update();
    tokio::select! {
        // Connections that break are what this is about.
        _ = behave(stream, to, mood, &votes) => {}
        _ = watched.changed() => {}
    }
}

async fn behave(
    mut client: TcpStream,
    to: SocketAddr,
    mood: Mood,
    votes: &AtomicU64,
) -> std::io::Result<()> {
    match mood {
        Mood::Well => {
            let server = TcpStream::connect(to).await?;
            let (mut answers, mut requests) = server.into_split();
            let (mut asked, mut told) = client.into_split();
            let forward = async {
                let mut bytes = vec![0; 1 << 16];
                loop {
                    let count = asked.read(&mut bytes).await?;
                    if count == 0 {
                        return requests.shutdown().await;
                    }
                    votes.fetch_add(u64::from(writes_vote(&bytes[..count])), Ordering::Relaxed);
                    requests.write_all(&bytes[..count]).await?;
                }
            };
            let back = async {
                tokio::io::copy(&mut answers, &mut told).await?;
                told.shutdown().await
            };
            tokio::try_join!(forward, back)?;
        }
        Mood::Answers(status) => {
            swallow(&mut client).await?;
            let answer = format!(
                "HTTP/1.1 {status} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            client.write_all(answer.as_bytes()).await?;
        }
        Mood::Silent => loop {
            swallow(&mut client).await?;
        },
        Mood::Deaf => {
            let server = TcpStream::connect(to).await?;
            let (mut answers, mut requests) = server.into_split();
            let (mut asked, _unanswered) = client.into_split();
            let forward = tokio::io::copy(&mut asked, &mut requests);
            let mut answer = [0; 4096];
            tokio::select! {
                done = forward => done?,
                // What was asked is done when the answer begins; then all breaks.
                read = answers.read(&mut answer) => read? as u64,
            };
        }
        Mood::Slow(time) => {
            let server = TcpStream::connect(to).await?;
            let (mut answers, mut requests) = server.into_split();
            let (mut asked, mut told) = client.into_split();
            let forward = tokio::io::copy(&mut asked, &mut requests);
            let back = async {
                let mut bytes = vec![0; 1 << 16];
                loop {
                    let count = answers.read(&mut bytes).await?;
                    if count == 0 {
                        return Ok::<_, std::io::Error>(0);
                    }
                    sleep(time).await;
                    told.write_all(&bytes[..count]).await?;
                }
            };
            tokio::select! { done = forward => done?, done = back => done? };
        }
    }
    Ok(())
}

/// Whether what was read begins with a request to write something of the vote: clients
/// wait for an answer before the next request.
fn writes_vote(bytes: &[u8]) -> bool {
    let line = bytes
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    line.starts_with(b"PUT ") && line.windows(6).any(|part| part == b"/vote/")
}

/// Reads until a request seems to be there: nothing more comes for a moment.
async fn swallow(client: &mut TcpStream) -> std::io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    let mut any = false;
    loop {
        let patience = Duration::from_millis(if any { 50 } else { 60_000 });
        match timeout(patience, client.read(&mut bytes)).await {
            Ok(Ok(0)) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => any = read? > 0,
            Err(_) => return Ok(()),
        }
    }
}
