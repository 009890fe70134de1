//! An S3 server for tests, in memory, that fails as a test says. Knows only what
//! bodies need: objects up to one part, ranges, and lists. Believes every signature.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The longest request that is taken, in bytes.
const LONGEST: usize = 64 << 20;
/// Every object was changed at this moment.
const MODIFIED: &str = "2026-11-02T09:12:13.000Z";

/// How the server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    Well,
    /// It answers 503.
    Busy,
    /// It takes requests and never answers.
    Hangs,
    /// It closes every connection.
    Away,
    /// It answers, each time after so long.
    Slow(Duration),
}

/// A running server; ends when dropped.
pub struct Bucket {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    mood: Mutex<Mood>,
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
}

struct Request {
    method: String,
    path: String,
    query: String,
    range: Option<String>,
    only_new: bool,
    body: Vec<u8>,
}

/// A status line's end, header lines, and a body.
type Answer = (&'static str, String, Vec<u8>);

impl Drop for Bucket {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Bucket {
    /// Starts a server on a free port.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let shared = Arc::new(Shared {
            mood: Mutex::new(Mood::Well),
            objects: Mutex::default(),
        });
        let (address, of) = (listener.local_addr()?, Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&of);
                // A connection that breaks is the client's business.
                tokio::spawn(async move { shared.serve(stream).await });
            }
        });
        Ok(Self {
            address,
            shared,
            serving,
        })
    }

    /// Settings of a node that keeps its bodies here, as a section of its file.
    pub fn settings(&self) -> String {
        format!(
            "[blob]\ncache_size = \"16MiB\"\nattempt_timeout = \"500ms\"\ndeadline = \"1s\"\n\
             retry_pause = \"10ms\"\nprobe_pause = \"200ms\"\n\
             [blob.s3]\nbucket = \"mail\"\nendpoint = \"http://{}\"\n\
             access_key_id = \"test\"\nsecret_access_key = \"test\"\n",
            self.address
        )
    }

    /// How it behaves from now on, to requests under way as well.
    pub fn turn(&self, mood: Mood) {
        *self.shared.mood.lock() = mood;
    }
}

impl Shared {
    async fn serve(&self, stream: TcpStream) -> anyhow::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let request = read(&mut stream).await?;
            let mood = *self.mood.lock();
            let answer = match mood {
                Mood::Well => self.answer(&request),
                Mood::Slow(time) => {
                    tokio::time::sleep(time).await;
                    self.answer(&request)
                }
                Mood::Busy => ("503 Slow Down", String::new(), Vec::new()),
                Mood::Hangs => std::future::pending().await,
                Mood::Away => return Ok(()),
            };
            let (status, headers, body) = answer;
            let head = request.method == "HEAD";
            let length = match headers.contains("content-length") {
                true => String::new(),
                false => format!("content-length: {}\r\n", body.len()),
            };
            let head_text = format!("HTTP/1.1 {status}\r\n{headers}{length}\r\n");
            stream.write_all(head_text.as_bytes()).await?;
            if !head {
                stream.write_all(&body).await?;
            }
            stream.flush().await?;
        }
    }

    fn answer(&self, request: &Request) -> Answer {
        let mut objects = self.objects.lock();
        let key = request.path.strip_prefix("/mail").unwrap_or_default();
        let key = key.trim_start_matches('/');
        let none = || ("404 Not Found", String::new(), b"<Error/>".to_vec());
        match request.method.as_str() {
            "PUT" if request.only_new && objects.contains_key(key) => {
                ("412 Precondition Failed", String::new(), Vec::new())
            }
            "PUT" => {
                objects.insert(key.to_owned(), request.body.clone());
                ("200 OK", "etag: \"e\"\r\n".into(), Vec::new())
            }
            "DELETE" => {
                objects.remove(key);
                ("204 No Content", String::new(), Vec::new())
            }
            "GET" if key.is_empty() => ("200 OK", String::new(), list(&objects, &request.query)),
            "GET" | "HEAD" => objects
                .get(key)
                .map_or_else(none, |bytes| give(bytes, request)),
            _ => ("501 Not Implemented", String::new(), Vec::new()),
        }
    }
}

/// An object, or the range of it that is asked for.
fn give(bytes: &[u8], request: &Request) -> Answer {
    let common = "etag: \"e\"\r\nlast-modified: Mon, 02 Nov 2026 09:12:13 GMT\r\n";
    let whole = bytes.len();
    let range = request.range.as_deref().and_then(|range| {
        let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
        let from: usize = from.parse().ok()?;
        let to: usize = to.parse().unwrap_or(whole).min(whole.saturating_sub(1));
        (from <= to).then_some((from, to))
    });
    match range {
        Some((from, to)) => (
            "206 Partial Content",
            format!("{common}content-range: bytes {from}-{to}/{whole}\r\n"),
            bytes[from..=to].to_vec(),
        ),
        None => {
            let length = format!("{common}content-length: {whole}\r\n");
            ("200 OK", length, bytes.to_vec())
        }
    }
}

/// All objects under the prefix of the query, in one page.
fn list(objects: &BTreeMap<String, Vec<u8>>, query: &str) -> Vec<u8> {
    let prefix = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("prefix="));
    let prefix = prefix.unwrap_or_default().replace("%2F", "/");
    let mut text = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
    for (key, bytes) in objects.iter().filter(|(key, _)| key.starts_with(&prefix)) {
        text.push_str(&format!(
            "<Contents><Key>{key}</Key><LastModified>{MODIFIED}</LastModified>\
             <ETag>e</ETag><Size>{}</Size></Contents>",
            bytes.len()
        ));
    }
    text.push_str("</ListBucketResult>");
    text.into_bytes()
}

async fn read(stream: &mut BufReader<TcpStream>) -> anyhow::Result<Request> {
    let first = line(stream).await?;
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().context("no target")?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        range: None,
        only_new: false,
        body: Vec::new(),
    };
    let mut length = 0;
    loop {
        let header = line(stream).await?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse()?,
            "range" => request.range = Some(value.trim().to_owned()),
            "if-none-match" => request.only_new = true,
            _ => {}
        }
    }
    ensure!(length <= LONGEST, "too long");
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).await?;
    Ok(request)
}

async fn line(stream: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut line = String::new();
    ensure!(stream.read_line(&mut line).await? > 0, "closed");
    Ok(line.trim_end().to_owned())
}
