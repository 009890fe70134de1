//! A Postrider of its own for one run: `quickstart` in a fresh folder, with the
//! accounts that the scenarios deliver to.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// A running server, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pid: u32,
}

impl Server {
    /// Starts `binary` with its data under `dir`, which is emptied first.
    pub(crate) async fn start(binary: &Path, dir: &Path) -> anyhow::Result<Self> {
        empty(dir)?;
        let server = Self::run(binary, dir, &["quickstart", "--dir", "data"]).await?;
        add_accounts(binary, &dir.join("data")).await?;
        Ok(server)
    }

    /// The same with settings, the text of a file for `serve`, in place of those of
    /// `quickstart`; its `data_dir` is `data`.
    pub(crate) async fn start_with(
        binary: &Path,
        dir: &Path,
        settings: &str,
    ) -> anyhow::Result<Self> {
        empty(dir)?;
        std::fs::write(dir.join("postrider.toml"), settings)?;
        let server = Self::run(binary, dir, &["serve", "--config", "postrider.toml"]).await?;
        let data = dir.join("data");
        let domain = Command::new(binary)
            .args(["domain", "add", "example.test", "--dir"])
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        ensure!(domain.await?.success(), "adding the domain failed");
        add_account(binary, &data, "alice@example.test").await?;
        add_accounts(binary, &data).await?;
        Ok(server)
    }

    /// Runs `binary` in `dir` until it is ready.
    async fn run(binary: &Path, dir: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let log = std::fs::File::create(dir.join("server.log"))?;
        let child = Command::new(std::path::absolute(binary)?)
            .args(arguments)
            .args(["--ready-file", "ready.json"])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}; build it first", binary.display()))?;
        let pid = child.id().context("the server ended at once")?;
        let mut server = Self { child, pid };
        server.wait_until_ready(&dir.join("ready.json")).await?;
        Ok(server)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Stops it where it is, until it is told to go on.
    pub(crate) fn stop(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`Self::stop`].
    pub(crate) fn go_on(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        Ok(kill_process(pid.context("no process id")?, signal)?)
    }

    async fn wait_until_ready(&mut self, file: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !file.exists() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status}; see server.log");
            }
            ensure!(
                Instant::now() < deadline,
                "the server was not ready within 30 s"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// Makes `dir` an empty folder.
fn empty(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        std::fs::remove_dir_all(dir)?;
    }
    std::fs::create_dir_all(dir)?;
    Ok(())
}

/// The accounts that the scenarios share mail among.
async fn add_accounts(binary: &Path, dir: &Path) -> anyhow::Result<()> {
    for number in 1..=50 {
        add_account(binary, dir, &format!("bench{number}@example.test")).await?;
    }
    Ok(())
}

/// `postrider account add`, with the password that the scenarios use.
async fn add_account(binary: &Path, dir: &Path, address: &str) -> anyhow::Result<()> {
    let mut child = Command::new(binary)
        .args(["account", "add", address, "--password-stdin", "--dir"])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        tokio::io::AsyncWriteExt::write_all(&mut stdin, b"postrider\n").await?;
    }
    let status = child.wait().await?;
    ensure!(status.success(), "adding {address} failed with {status}");
    Ok(())
}
