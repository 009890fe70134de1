//! A node of its own under test, on free ports, in a temporary folder.

use std::ops::{Deref, DerefMut};
use std::path::Path;

use tempfile::TempDir;

use crate::process::{Process, blob};

/// A running node; killed when dropped.
pub struct Node {
    process: Process,
    certificate: Vec<u8>,
    _dir: TempDir,
}

impl Deref for Node {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Node {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
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
        let own_store = environment
            .iter()
            .any(|(name, _)| *name == "POSTRIDER__BLOB__FOLDER");
        let dir = tempfile::tempdir()?;
        let store = if own_store {
            String::new()
        } else {
            blob(dir.path())?
        };
        Self::start_in(dir, binary, environment, &store).await
    }

    /// The same with bodies where `store` says, sections of its settings file.
    pub async fn start_storing(
        binary: &str,
        environment: &[(&str, &str)],
        store: &str,
    ) -> anyhow::Result<Self> {
        Self::start_in(tempfile::tempdir()?, binary, environment, store).await
    }

    async fn start_in(
        dir: TempDir,
        binary: &str,
        environment: &[(&str, &str)],
        store: &str,
    ) -> anyhow::Result<Self> {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = certified.cert.pem().into_bytes();
        std::fs::write(dir.path().join("cert.pem"), &certificate)?;
        std::fs::write(
            dir.path().join("key.pem"),
            certified.signing_key.serialize_pem(),
        )?;
        std::fs::write(
            dir.path().join("postrider.toml"),
            config(dir.path()) + store,
        )?;
        let mut node = Self {
            process: Process::new(binary, dir.path(), environment),
            certificate,
            _dir: dir,
        };
        node.process.start_again().await?;
        node.cli(&["domain", "add", "example.test"]).await?;
        node.account("alice@example.test").await?;
        node.account("bob@example.test").await?;
        Ok(node)
    }

    /// Its certificate, which is its own authority (PEM).
    pub fn authority(&self) -> &[u8] {
        &self.certificate
    }

    /// Checks the consistency of the metadata and stops the node.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        self.cli(&["check"]).await?;
        self.stop().await
    }
}

/// The settings of a node under test: every protocol on a free port, bodies
/// packed after a second.
fn config(dir: &Path) -> String {
    let root = dir.display();
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
        "web",
    ];
    for protocol in protocols {
        text.push_str(&format!(
            "[[listener]]\nprotocol = \"{protocol}\"\nlisten = [\"127.0.0.1:0\"]\n\
             max_connections_per_address = 10000\n"
        ));
    }
    text
}
