//! The way of one node to the bucket, on which an S3 server can be made to fail.

use std::net::SocketAddr;
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
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let watched = watched.clone();
                tokio::spawn(serve(stream, to, watched));
            }
        });
        Ok(Self { mood, task })
    }

    /// Changes how the server behaves; connections from before break.
    pub(crate) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

/// One connection; it ends as soon as the mood changes.
async fn serve(stream: TcpStream, to: SocketAddr, mut watched: watch::Receiver<Mood>) {
    let mood = *watched.borrow_and_update();
    tokio::select! {
        // Connections that break are what this is about.
        _ = behave(stream, to, mood) => {}
        _ = watched.changed() => {}
    }
}

async fn behave(mut client: TcpStream, to: SocketAddr, mood: Mood) -> std::io::Result<()> {
    match mood {
        Mood::Well => {
            let mut server = TcpStream::connect(to).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await?;
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
