//! The command line's HTTP client of the administration API.

mod connect;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, Uri, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use connect::Connect;

use crate::admin::api::{List, Problem};
use crate::dir;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(90);
/// The same for one that reads much.
const LONG: Duration = Duration::from_secs(1800);
/// The largest answer.
const MAX_ANSWER: usize = 64 << 20;

/// A client of one node.
pub(crate) struct Client {
    connect: Connect,
    url: Uri,
    token: String,
}

/// Where the node is, as far as the user said.
#[derive(Clone, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) url: Option<&'a str>,
    pub(crate) token_file: Option<&'a Path>,
    pub(crate) ca: Option<&'a Path>,
    pub(crate) dir: &'a Path,
}

impl Client {
    /// A client of the node that `target` names: what is not given is looked
    /// up in the data folder, where the running node has left it.
    pub(crate) fn find(target: &Target<'_>) -> anyhow::Result<Self> {
        let none = "No node is known: start one (`postrider quickstart`), or say where it is with \
                    --dir DATA_FOLDER, or with --url and --token-file";
        let url = match target.url {
            Some(url) => url.to_owned(),
            None => {
                let file = target.dir.join(dir::URL);
                let url = std::fs::read_to_string(&file);
                url.map_err(|e| anyhow!("{none}.\n(cannot read {}: {e})", file.display()))?
            }
        };
        let url = url.trim().trim_end_matches('/').to_owned();
        let wrong = || {
            format!(
                "`{url}` is no address of a node, such as http://127.0.0.1:2080 or \
                 https://mail1.example.org:8443"
            )
        };
        let url: Uri = url.parse().with_context(wrong)?;
        let connect = Connect::new(&url, trusted(target).as_deref()).with_context(wrong)?;
        let default = target.dir.join(dir::TOKEN);
        let file = target.token_file.unwrap_or(&default);
        let token = std::fs::read_to_string(file).with_context(|| {
            format!(
                "cannot read the administration token {}; name another with --token-file, \
                 or run as the user that runs Postrider",
                file.display()
            )
        })?;
        let token = token.trim();
        if !token.bytes().all(|b| b.is_ascii_graphic()) || token.is_empty() {
            bail!(
                "{} holds no administration token: it is one word; name another file with \
                 --token-file",
                file.display()
            );
        }
        Ok(Self {
            connect,
            url,
            token: token.to_owned(),
        })
    }

    /// A request with a JSON body and no answer of interest.
    pub(crate) async fn send<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> anyhow::Result<()> {
        let body = serde_json::to_vec(body).context("cannot write the request")?;
        self.request(method, path, body).await.map(drop)
    }

    /// A request with a JSON body and an answer.
    pub(crate) async fn exchange<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> anyhow::Result<T> {
        let body = serde_json::to_vec(body).context("cannot write the request")?;
        understood(&self.request(method, path, body).await?)
    }

    /// Removes what `path` names.
    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.request(Method::DELETE, path, Vec::new())
            .await
            .map(drop)
    }

    /// What `path` names.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let answer = self.request(Method::GET, path, Vec::new()).await?;
        understood(&answer)
    }

    /// The same, for what takes its time.
    pub(crate) async fn get_slowly<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let answer = self.within(LONG, Method::GET, path, Vec::new()).await?;
        understood(&answer)
    }

    /// All pages of the list at `path`, which may end in a query.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Vec<T>> {
        let mut items = Vec::new();
        let mut next = None;
        loop {
            let page: List<T> = self.page(path, next.as_deref()).await?;
            items.extend(page.items);
            next = page.next;
            if next.is_none() {
                return Ok(items);
            }
        }
    }

    /// One page of it: the one at `after`. It may be empty and not the last.
    pub(crate) async fn page<T: DeserializeOwned>(
        &self,
        path: &str,
        after: Option<&str>,
    ) -> anyhow::Result<List<T>> {
        let join = if path.contains('?') { '&' } else { '?' };
        match after {
            None => self.get(path).await,
            Some(after) => self.get(&format!("{path}{join}after={after}")).await,
        }
    }

    /// The node's address as people write it.
    fn shown(&self) -> String {
        self.url.to_string().trim_end_matches('/').to_owned()
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>> {
        let stream = self.connect.connect().await?;
        let (mut sender, connection) = http1::handshake(stream).await?;
        // It ends with the answer, whose reader is told what went wrong.
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?)
    }

    async fn request(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Bytes> {
        self.within(TIMEOUT, method, path, body).await
    }

    async fn within(
        &self,
        limit: Duration,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(format!(
                "{}/v1/{path}",
                self.url.path().trim_end_matches('/')
            ))
            .header(
                header::HOST,
                self.url.authority().map_or("", |it| it.as_str()),
            )
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .with_context(|| format!("`{}` is no usable address", self.shown()))?;
        let exchange = async {
            let answer = self.answer(request).await.map_err(|error| {
                anyhow!(
                    "no node answers at {}: {}. Is it running? Another address can be given \
                     with --url, another data folder with --dir",
                    self.shown(),
                    error.root_cause()
                )
            })?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|e| anyhow!("the answer broke off: {e}"))?;
            anyhow::Ok((status, body.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| anyhow!("{} does not answer in time", self.shown()))??;
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => bail!("{}", problem.message),
            Err(_) => bail!("{} answered {status}; is it a Postrider?", self.shown()),
        }
    }
}

fn understood<T: DeserializeOwned>(answer: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(answer)
        .context("the node's answer is not understood; are both of the same version?")
}

/// The file with what makes a certificate good: as given, else where the node that runs
/// in the data folder has its own.
fn trusted(target: &Target<'_>) -> Option<PathBuf> {
    if let Some(file) = target.ca {
        return Some(file.to_owned());
    }
    let path = std::fs::read(target.dir.join(dir::CERTIFICATE)).ok()?;
    Some(PathBuf::from(OsString::from_vec(path)))
}

/// `text` as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    escape(text, b"-._~@+")
}

/// `text` as a value in a query, where a plus is a space.
pub(crate) fn value(text: &str) -> String {
    escape(text, b"-._~@")
}

fn escape(text: &str, plain: &[u8]) -> String {
    let escape = |b: u8| {
        if b.is_ascii_alphanumeric() || plain.contains(&b) {
            char::from(b).to_string()
        } else {
            format!("%{b:02X}")
        }
    };
    text.bytes().map(escape).collect()
}
