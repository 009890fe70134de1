//! A Postrider of its own for one run: `quickstart` in a fresh folder, with the
//! accounts that the scenarios deliver to.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::process::{Child, Command};

/// A running server, killed when dropped.
pub(crate) struct Server {
    child: Child,
    pid: u32,
}

impl Server {
    /// Starts `binary` with its data under `dir`, which is emptied first.
    pub(crate) async fn start(binary: &Path, dir: &Path) -> anyhow::Result<Self> {
        if dir.exists() {
            std::fs::remove_dir_all(dir)?;
        }
        std::fs::create_dir_all(dir)?;
        let log = std::fs::File::create(dir.join("server.log"))?;
        let child = Command::new(binary)
            .arg("quickstart")
            .arg("--dir")
            .arg(dir.join("data"))
            .arg("--ready-file")
            .arg(dir.join("ready.json"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}; build it first", binary.display()))?;
        let pid = child.id().context("the server ended at once")?;
        let mut server = Self { child, pid };
        server.wait_until_ready(&dir.join("ready.json")).await?;
        for number in 1..=50 {
            let address = format!("bench{number}@example.test");
            add_account(binary, &dir.join("data"), &address).await?;
        }
        Ok(server)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
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
