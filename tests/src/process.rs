//! `postrider serve` as a process: started, killed, stopped, asked. What its
//! settings say is the business of whoever writes them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::host::Host;
use crate::{Imap, Pop3};

/// How long a start or a stop may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that comes by itself.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Where a node listens; port 0 for what it does not offer.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The public web pages over TLS.
    pub web: SocketAddr,
    /// Whose certificates clients trust (PEM); without, they log in in the clear.
    pub authority: Option<Arc<[u8]>>,
}

impl Addresses {
    /// What `of` says for each protocol as the settings name it.
    pub(crate) fn from_fn(
        mut of: impl FnMut(&str) -> anyhow::Result<SocketAddr>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            smtp: of("smtp")?,
            submission: of("submission")?,
            submissions: of("submissions")?,
            lmtp: of("lmtp")?,
            imap: of("imap")?,
            imaps: of("imaps")?,
            pop3: of("pop3")?,
            pop3s: of("pop3s")?,
            http: of("http")?,
            web: of("web")?,
            authority: None,
        })
    }

    /// An IMAP session.
    pub async fn imap_login(&self, user: &str, password: &str) -> anyhow::Result<Imap> {
        let Some(authority) = &self.authority else {
            return Imap::login(self.imap, user, password).await;
        };
        let mut imap = Imap::connect_tls(self.imaps, authority).await?;
        imap.run(&format!("LOGIN {user} {password}")).await?.ok()?;
        Ok(imap)
    }

    /// A POP3 session.
    pub async fn pop3_login(&self, user: &str, password: &str) -> anyhow::Result<Pop3> {
        let mut pop3 = Pop3::connect(self.pop3).await?;
        if let Some(authority) = &self.authority {
            pop3 = pop3.start_tls(authority).await?;
        }
        pop3.ok(&format!("USER {user}")).await?;
        pop3.ok(&format!("PASS {password}")).await?;
        Ok(pop3)
    }
}

/// A node's folder and, while it runs, its process; killed when dropped.
///
/// The folder holds `postrider.toml`, `data`, `log` and `ready.json`.
pub struct Process {
    binary: PathBuf,
    dir: PathBuf,
    environment: Vec<(String, String)>,
    /// The network namespace that it runs in, if it is not ours.
    namespace: Option<String>,
    authority: Option<Arc<[u8]>>,
    child: Option<Child>,
    addresses: Addresses,
}

impl Process {
    /// A node that does not run yet, whose settings lie in `dir`.
    pub(crate) fn new(binary: &str, dir: &Path, environment: &[(&str, &str)]) -> Self {
        let none = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            binary: binary.into(),
            dir: dir.into(),
            environment: environment.iter().map(owned).collect(),
            namespace: None,
            authority: None,
            child: None,
            addresses: Addresses::from_fn(|_| Ok(none)).expect("nothing fails here"),
        }
    }

    /// Sets a variable of its environment from its next start on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// On a host of its own.
    pub(crate) fn on(mut self, host: &Host) -> Self {
        self.namespace = Some(host.namespace.clone());
        self.environment.clone_from(&host.environment);
        self.authority = Some(Arc::clone(&host.authority));
        self
    }

    /// The binary, to be run where the node is.
    fn program(&self) -> Command {
        let mut command = match &self.namespace {
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        command.envs(self.environment.clone()).kill_on_drop(true);
        command
    }

    /// The number of its process.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Which build it is from its next start on.
    pub fn set_binary(&mut self, binary: &str) {
        self.binary = binary.into();
    }

    /// What the process finds in its environment from its next start on.
    pub fn set_environment(&mut self, environment: &[(&str, &str)]) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.environment = environment.iter().map(owned).collect();
    }

    /// Where it listens. Changes with each start where the settings say port 0.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
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
        let data = self.dir.join("data");
        let data = data.to_string_lossy();
        let all: Vec<&str> = arguments.iter().copied().chain(["--dir", &data]).collect();
        let (status, output) = self.tool(&all, input).await?;
        ensure!(status.success(), "{arguments:?}: {status}: {output}");
        Ok(output)
    }

    /// Runs the binary as it is; its status, and what it printed or, if it
    /// failed, why.
    pub async fn tool(
        &self,
        arguments: &[&str],
        input: &[u8],
    ) -> anyhow::Result<(ExitStatus, String)> {
        let mut child = self
            .program()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        stdin.write_all(input).await?;
        drop(stdin);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
            .await
            .with_context(|| format!("{arguments:?} does not end"))??;
        let mut printed = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            printed.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        Ok((output.status, printed))
    }

    /// GETs `path` without any token; status and body.
    pub async fn http(&self, path: &str) -> anyhow::Result<(u16, String)> {
        self.get(path, "").await
    }

    /// GETs what the administration API says at `path`.
    pub async fn api(&self, path: &str) -> anyhow::Result<Value> {
        let token = std::fs::read_to_string(self.dir.join("data/admin.token"))?;
        let header = format!("Authorization: Bearer {}\r\n", token.trim());
        let (status, body) = self.get(path, &header).await?;
        ensure!(status == 200, "{path}: {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    async fn get(&self, path: &str, header: &str) -> anyhow::Result<(u16, String)> {
        let mut stream = tokio::net::TcpStream::connect(self.addresses.http).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n");
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
        let mut child = self.child.take().context("the node does not run")?;
        child.kill().await?;
        Ok(())
    }

    /// SIGTERM, and waits until the node has drained and ended well.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.signal("TERM").await?;
        let status = self.ended().await?;
        ensure!(
            status.success(),
            "the node ended with {status}: {}",
            self.log_end(30)
        );
        Ok(())
    }

    /// SIGSTOP: it hangs, and its connections stay open.
    pub async fn pause(&self) -> anyhow::Result<()> {
        self.signal("STOP").await
    }

    /// SIGCONT after [`Self::pause`].
    pub async fn proceed(&self) -> anyhow::Result<()> {
        self.signal("CONT").await
    }

    async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.child.as_ref().and_then(Child::id);
        let pid = pid.context("the node has ended")?.to_string();
        let status = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .await?;
        ensure!(status.success(), "kill failed");
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let child = self.child.as_mut().context("the node does not run")?;
        let status = tokio::time::timeout(PATIENCE, child.wait()).await;
        let status = status.with_context(|| format!("it does not end: {}", self.log_end(30)))??;
        self.child = None;
        Ok(status)
    }

    /// How it has ended by itself, told once.
    pub fn has_ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        let status = child.try_wait()?;
        if status.is_some() {
            self.child = None;
        }
        Ok(status)
    }

    /// Whether its process lives, as far as is known.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Whether its process has not ended yet.
    pub fn is_alive(&mut self) -> anyhow::Result<bool> {
        let child = self.child.as_mut().context("the node does not run")?;
        Ok(child.try_wait()?.is_none())
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// The last lines of that.
    pub fn log_end(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Starts it and waits until it is ready.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        self.await_ready().await
    }

    /// Starts it without waiting.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let ready = self.dir.join("ready.json");
        if ready.exists() {
            std::fs::remove_file(&ready)?;
        }
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))?;
        let child = self
            .program()
            .arg("serve")
            .arg("--config")
            .arg(self.dir.join("postrider.toml"))
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", self.binary.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until a started node is ready.
    pub async fn await_ready(&mut self) -> anyhow::Result<()> {
        let file = self.dir.join("ready.json");
        let deadline = Instant::now() + PATIENCE;
        while !file.exists() {
            let child = self.child.as_mut().context("the node does not run")?;
            if let Some(status) = child.try_wait()? {
                bail!("the node ended with {status}: {}", self.log_end(30));
            }
            ensure!(
                Instant::now() < deadline,
                "not ready in time: {}",
                self.log_end(30)
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let ready: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        self.addresses = Addresses::from_fn(|protocol| {
            let bound = ready["listeners"][protocol][0].as_str();
            Ok(bound.map(str::parse).transpose()?.unwrap_or(nowhere))
        })?;
        self.addresses.authority.clone_from(&self.authority);
        Ok(())
    }
}

/// Bodies in `dir`, or in the bucket that `POSTRIDER_TEST_S3` names
/// (`http://HOST:PORT/BUCKET`) under a prefix of their own.
pub(crate) fn blob(dir: &Path) -> anyhow::Result<String> {
    let Ok(url) = std::env::var("POSTRIDER_TEST_S3") else {
        return Ok(format!("[blob]\nfolder = \"{}/bodies\"\n", dir.display()));
    };
    let (endpoint, bucket) = url.rsplit_once('/').context("http://HOST:PORT/BUCKET")?;
    let prefix = dir
        .file_name()
        .context("a folder has a name")?
        .to_string_lossy();
    let prefix = prefix.trim_start_matches('.');
    Ok(format!(
        "[blob.s3]\nbucket = \"{bucket}\"\nendpoint = \"{endpoint}\"\nprefix = \"{prefix}\"\n"
    ))
}
