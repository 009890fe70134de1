//! A node under test: `postrider serve` as a process, on free ports, in a
//! temporary folder.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a node listens.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// SMTP.
    pub smtp: SocketAddr,
    /// Submission with STARTTLS.
    pub submission: SocketAddr,
    /// Submission over TLS.
    pub submissions: SocketAddr,
    /// LMTP.
    pub lmtp: SocketAddr,
    /// IMAP.
    pub imap: SocketAddr,
    /// IMAP over TLS.
    pub imaps: SocketAddr,
    /// POP3.
    pub pop3: SocketAddr,
    /// POP3 over TLS.
    pub pop3s: SocketAddr,
    /// HTTP.
    pub http: SocketAddr,
}

/// A running node; killed when dropped.
pub struct Node {
    binary: PathBuf,
    dir: TempDir,
    environment: Vec<(String, String)>,
    child: Child,
    addresses: Addresses,
    certificate: Vec<u8>,
}

impl Node {
    /// Starts a node with the domain `example.test` and the accounts `alice` and
    /// `bob`, password `postrider`. `binary` is this package's copy of the
    /// product: `env!("CARGO_BIN_EXE_postrider-under-test")`.
    pub async fn start(binary: &str) -> anyhow::Result<Self> {
        Self::start_with(binary, &[]).await
    }

    /// The same with settings from the environment: `POSTRIDER__SECTION__KEY`.
    /// One that names a folder for bodies has it, wherever other tests keep theirs.
    pub async fn start_with(binary: &str, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = certified.cert.pem().into_bytes();
        std::fs::write(dir.path().join("cert.pem"), &certificate)?;
        std::fs::write(
            dir.path().join("key.pem"),
            certified.signing_key.serialize_pem(),
        )?;
        let file = dir.path().join("postrider.toml");
        let own_store = environment
            .iter()
            .any(|(name, _)| *name == "POSTRIDER__BLOB__FOLDER");
        let store = if own_store {
            String::new()
        } else {
            blob(&dir)?
        };
        std::fs::write(&file, config(&dir) + &store)?;
        let binary = PathBuf::from(binary);
        let environment: Vec<(String, String)> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let child = spawn(&binary, &dir, &environment)?;
        let none = SocketAddr::from(([127, 0, 0, 1], 0));
        let addresses = Addresses {
            smtp: none,
            submission: none,
            submissions: none,
            lmtp: none,
            imap: none,
            imaps: none,
            pop3: none,
            pop3s: none,
            http: none,
        };
        let mut node = Self {
            binary,
            dir,
            environment,
            child,
            addresses,
            certificate,
        };
        node.await_ready().await?;
        node.cli(&["domain", "add", "example.test"]).await?;
        node.account("alice@example.test").await?;
        node.account("bob@example.test").await?;
        Ok(node)
    }

    /// Where it listens. Changes with each start.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Its certificate, which is its own authority (PEM).
    pub fn authority(&self) -> &[u8] {
        &self.certificate
    }

    /// Its folder.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Adds an account with the password `postrider`.
    pub async fn account(&self, address: &str) -> anyhow::Result<()> {
        let arguments = ["account", "add", address, "--password-stdin"];
        self.command(&arguments, b"postrider\n").await?;
        Ok(())
    }

    /// Runs a command of the command line against this node; what it printed.
    pub async fn cli(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.command(arguments, b"").await
    }

    async fn command(&self, arguments: &[&str], input: &[u8]) -> anyhow::Result<String> {
        let mut child = Command::new(&self.binary)
            .args(arguments)
            .arg("--dir")
            .arg(self.dir.path().join("data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        stdin.write_all(input).await?;
        drop(stdin);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{arguments:?}: {}: {errors}",
            output.status
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    /// GETs `path` without any token; status and body.
    pub async fn http(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let mut stream = tokio::net::TcpStream::connect(self.addresses.http).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut response = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut response)).await??;
        let status = response.split(' ').nth(1).context("no status")?.parse()?;
        let body = response
            .split_once("\r\n\r\n")
            .context("no body")?
            .1
            .to_owned();
        Ok((status, body))
    }

    /// The value of a metric without labels; zero where it is not told yet.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let (_, metrics) = self.http("/metrics").await?;
        let value = metrics
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        Ok(value.map(str::parse).transpose()?.unwrap_or_default())
    }

    /// SIGKILL.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// SIGTERM, and waits until the node has drained and ended well.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let pid = self.child.id().context("the node has ended")?;
        let status = Command::new("kill").arg(pid.to_string()).status().await?;
        ensure!(status.success(), "kill failed");
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        ensure!(
            status.success(),
            "the node ended with {status}: {}",
            self.log()
        );
        Ok(())
    }

    /// Starts the node again in its folder, on new ports.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.binary, &self.dir, &self.environment)?;
        self.await_ready().await
    }

    /// Checks the consistency of the metadata and stops the node.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        self.cli(&["check"]).await?;
        self.stop().await
    }

    /// The end of the node's log.
    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    async fn await_ready(&mut self) -> anyhow::Result<()> {
        let file = self.dir.path().join("ready.json");
        let deadline = Instant::now() + PATIENCE;
        while !file.exists() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the node ended with {status}: {}", self.log());
            }
            ensure!(
                Instant::now() < deadline,
                "not ready in time: {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let ready: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        let address = |protocol: &str| -> anyhow::Result<SocketAddr> {
            let bound = ready["listeners"][protocol][0].as_str();
            Ok(bound
                .with_context(|| format!("no {protocol} in {ready}"))?
                .parse()?)
        };
        self.addresses = Addresses {
            smtp: address("smtp")?,
            submission: address("submission")?,
            submissions: address("submissions")?,
            lmtp: address("lmtp")?,
            imap: address("imap")?,
            imaps: address("imaps")?,
            pop3: address("pop3")?,
            pop3s: address("pop3s")?,
            http: address("http")?,
        };
        Ok(())
    }
}

fn spawn(
    binary: &PathBuf,
    dir: &TempDir,
    environment: &[(String, String)],
) -> anyhow::Result<Child> {
    let ready = dir.path().join("ready.json");
    if ready.exists() {
        std::fs::remove_file(&ready)?;
    }
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(dir.path().join("log"))?;
    Command::new(binary)
        .args(["serve", "--config"])
        .arg(dir.path().join("postrider.toml"))
        .arg("--ready-file")
        .arg(&ready)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {}", binary.display()))
}

/// The settings of a node under test: every protocol on a free port, bodies
/// packed after a second.
fn config(dir: &TempDir) -> String {
    let root = dir.path().display();
    let mut text = format!(
        "data_dir = \"{root}/data\"\n\
         [tls]\ncertificate = \"{root}/cert.pem\"\nkey = \"{root}/key.pem\"\n\
         [smtp]\nplain_login_from_loopback = true\n\
         [imap]\nplain_login_from_loopback = true\n\
         [pop3]\nplain_login_from_loopback = true\n\
         [body]\npack_after = \"1s\"\npack_wait = \"1s\"\n"
    );
    let protocols = [
        "smtp",
        "submission",
        "submissions",
        "lmtp",
        "imap",
        "imaps",
        "pop3",
        "pop3s",
        "http",
    ];
    for protocol in protocols {
        text.push_str(&format!(
            "[[listener]]\nprotocol = \"{protocol}\"\nlisten = [\"127.0.0.1:0\"]\n\
             max_connections_per_address = 10000\n"
        ));
    }
    text
}

/// Bodies in a folder, or in the bucket that `POSTRIDER_TEST_S3` names
/// (`http://HOST:PORT/BUCKET`) under a prefix of their own.
fn blob(dir: &TempDir) -> anyhow::Result<String> {
    let Ok(url) = std::env::var("POSTRIDER_TEST_S3") else {
        return Ok(format!(
            "[blob]\nfolder = \"{}/bodies\"\n",
            dir.path().display()
        ));
    };
    let (endpoint, bucket) = url.rsplit_once('/').context("http://HOST:PORT/BUCKET")?;
    let prefix = dir
        .path()
        .file_name()
        .context("a folder has a name")?
        .to_string_lossy();
    let prefix = prefix.trim_start_matches('.');
    Ok(format!(
        "[blob.s3]\nbucket = \"{bucket}\"\nendpoint = \"{endpoint}\"\nprefix = \"{prefix}\"\n"
    ))
}
