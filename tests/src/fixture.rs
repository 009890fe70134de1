//! Data folders that a release has left: made with the present program, kept in the
//! repository, and opened by later ones.
//!
//! A fixture is one archive with the node's `data`, its `bodies`, and
//! `expected.json`: what [`Fixture::look`] saw when it was made.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::load::messages;
use crate::ports::Ports;
use crate::process::Process;
use crate::{Imap, Smtp};

/// What lies in the archive.
const PARTS: [&str; 3] = ["data", "bodies", "expected.json"];
/// Whose mail is looked at.
const USERS: [&str; 2] = ["alice@example.test", "bob@example.test"];
/// The accounts' password.
const PASSWORD: &str = "postrider";
/// How long something may take that comes by itself.
const PATIENCE: Duration = Duration::from_secs(120);
/// What fields of a queue entry stay as they are while it is tried.
const ENTRY: [&str; 9] = [
    "id",
    "message",
    "sender",
    "destination",
    "size",
    "created",
    "expires",
    "submitter",
    "sign",
];

/// A node that founded a cluster, alone in it so far.
pub struct Fixture {
    process: Process,
    dir: TempDir,
    _ports: Ports,
}

impl Fixture {
    /// A new node with mail of every kind.
    pub async fn make(binary: &str) -> anyhow::Result<Self> {
        let mut node = Self::settled(binary, tempfile::tempdir()?)?;
        let file = node.dir.path().join("postrider.toml");
        let file = file.to_string_lossy();
        let init = ["cluster", "init", "--config", &*file];
        let (status, printed) = node.process.tool(&init, b"").await?;
        ensure!(status.success(), "{printed}");
        node.process.start_again().await?;
        node.fill().await?;
        Ok(node)
    }

    /// The node in the archive `file`, running.
    pub async fn open(binary: &str, file: &Path) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        tar(&["-xzf", &file.to_string_lossy()], dir.path())?;
        let mut node = Self::settled(binary, dir)?;
        node.process.start_again().await?;
        Ok(node)
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The same, to do something to it.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    fn settled(binary: &str, dir: TempDir) -> anyhow::Result<Self> {
        let ports = Ports::take()?;
        let text = settings(dir.path(), &ports)?;
        std::fs::write(dir.path().join("postrider.toml"), text)?;
        Ok(Self {
            process: Process::new(binary, dir.path(), &[]),
            dir,
            _ports: ports,
        })
    }

    /// What it was when it was made.
    pub fn expected(&self) -> anyhow::Result<Value> {
        let text = std::fs::read(self.dir.path().join("expected.json"))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Everything that a user or an administrator sees and that stays as it is.
    pub async fn look(&self) -> anyhow::Result<Value> {
        let at = self.process.addresses();
        let mut mail = Map::new();
        for user in USERS {
            let mut imap = Imap::login(at.imap, user, PASSWORD).await?;
            let mut list = imap.run("LIST \"\" *").await?.ok()?.untagged;
            list.extend(imap.run("LSUB \"\" *").await?.ok()?.untagged);
            list.sort_unstable();
            let mut mailboxes = Map::new();
            for name in ["INBOX", "Archive"] {
                let lines = messages(at, user, name).await?;
                mailboxes.insert(name.into(), lines.into());
            }
            mail.insert(user.into(), json!({"list": list, "mailboxes": mailboxes}));
        }
        let mut queue = self.process.api("/v1/queue").await?["items"].take();
        for entry in queue.as_array_mut().context("no queue")? {
            let recipients: Vec<Value> = entry["recipients"]
                .as_array()
                .map_or(&[][..], Vec::as_slice)
                .iter()
                .map(|recipient| recipient["address"].clone())
                .collect();
            let kept = ENTRY.map(|field| (field.to_owned(), entry[field].clone()));
            let held = entry["state"] == "held";
            *entry = Value::Object(kept.into_iter().collect());
            entry["recipients"] = recipients.into();
            entry["held"] = held.into();
        }
        let mut seen = json!({"mail": mail, "queue": queue});
        for what in ["domains", "accounts", "aliases", "groups"] {
            seen[what] = self.process.api(&format!("/v1/{what}")).await?["items"].take();
        }
        let mut dns = self.process.api("/v1/domains/example.test/dns").await?;
        seen["keys"] = dns["keys"].take();
        seen["cluster"] = self.process.cluster_id()?;
        Ok(seen)
    }

    /// Stops it and keeps it as the archive `file`.
    pub async fn keep(mut self, file: &Path) -> anyhow::Result<()> {
        let seen = serde_json::to_vec_pretty(&self.look().await?)?;
        std::fs::write(self.dir.path().join("expected.json"), seen)?;
        self.process.stop().await?;
        for left in ["data/lock", "data/admin.url", "data/meta/lock"] {
            let _ = std::fs::remove_file(self.dir.path().join(left));
        }
        let mut arguments = vec!["-czSf".to_owned(), file.to_string_lossy().into_owned()];
        arguments.extend(PARTS.map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        tar(&arguments, self.dir.path())
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        let cli = async |arguments: &[&str]| self.process.cli(arguments).await;
        cli(&["domain", "add", "example.test"]).await?;
        cli(&["domain", "add", "inner.test", "--relay-to", "127.0.0.1:9"]).await?;
        for user in USERS {
            self.process.account(user).await?;
        }
        cli(&["account", "set", USERS[0], "--quota", "1GiB"]).await?;
        cli(&["alias", "add", "info@example.test", USERS[0]]).await?;
        let list = ["group", "add", "list@example.test", USERS[1]];
        let rest = ["member@outside.test", "--list", "--owner", USERS[0]];
        cli(&[&list[..], &rest[..]].concat()).await?;
        self.deliver(USERS[0], 1..9, 20).await?;
        // Larger than what travels inline.
        self.deliver(USERS[0], 9..10, 8_000).await?;
        self.change_mail().await?;
        self.until("everything is packed", async |process: &Process| {
            Ok(process.metric("postrider_body_inline_bytes").await? == 0.0)
        })
        .await?;
        self.until("a snapshot is in the store", async |process: &Process| {
            Ok(process.dir().join("bodies/snapshots").exists())
        })
        .await?;
        // The last ones stay inline, and in the log behind the snapshot.
        self.process.stop().await?;
        let slow = [("POSTRIDER__BODY__PACK_AFTER", "1h")];
        self.process.set_environment(&slow);
        self.process.start_again().await?;
        self.deliver("info@example.test", 10..12, 20).await?;
        self.deliver("list@example.test", 12..13, 20).await?;
        self.send_outside().await?;
        self.process
            .cli(&["cluster", "token", "--expires", "30d"])
            .await?;
        self.process
            .cli(&["queue", "hold", "--recipient", "held@outside.test"])
            .await?;
        Ok(())
    }

    async fn deliver(
        &self,
        to: &str,
        numbers: std::ops::Range<u64>,
        lines: usize,
    ) -> anyhow::Result<()> {
        let mut smtp = Smtp::connect(self.process.addresses().smtp).await?;
        smtp.expect(250, "EHLO client.test").await?;
        for number in numbers {
            let body = format!("line of {number}\r\n").repeat(lines);
            let text = format!("From: s@outside.test\r\nSubject: number {number}\r\n\r\n{body}");
            let reply = smtp.deliver("s@outside.test", to, &text).await?;
            ensure!(reply.code == 250, "{to}: {reply:?}");
        }
        Ok(())
    }

    async fn change_mail(&self) -> anyhow::Result<()> {
        let at = self.process.addresses();
        let mut imap = Imap::login(at.imap, USERS[0], PASSWORD).await?;
        for command in [
            "SELECT INBOX",
            "UID STORE 1:3 +FLAGS (\\Seen \\Flagged keyword)",
            "UID STORE 4 +FLAGS (\\Deleted)",
            "UID EXPUNGE 4",
            "UID COPY 2 Archive",
            "UID MOVE 5 Archive",
            "CREATE Archive/2026",
            "SUBSCRIBE Archive/2026",
        ] {
            imap.run(command).await?.ok()?;
        }
        Ok(())
    }

    async fn send_outside(&self) -> anyhow::Result<()> {
        let mut smtp = Smtp::connect(self.process.addresses().submission).await?;
        smtp.expect(250, "EHLO client.test").await?;
        smtp.login(USERS[0], PASSWORD).await?;
        let elsewhere = ["first@outside.test", "held@outside.test", "x@inner.test"];
        for to in elsewhere {
            let text = format!("From: <{}>\r\nSubject: to {to}\r\n\r\nHello.\r\n", USERS[0]);
            let reply = smtp.deliver(USERS[0], to, &text).await?;
            ensure!(reply.code == 250, "{to}: {reply:?}");
        }
        Ok(())
    }

    async fn until(
        &self,
        what: &str,
        holds: impl AsyncFn(&Process) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.process).await? {
            ensure!(Instant::now() < deadline, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

impl Process {
    /// The cluster's id, as the node's identity has it.
    fn cluster_id(&self) -> anyhow::Result<Value> {
        let file = self.dir().join("data/cluster/identity.json");
        let mut identity: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        Ok(identity["cluster"].take())
    }
}

/// Every part of the log and of the state is small. No name server answers, and no
/// message is too old within a century, so that the queue keeps what is in it.
fn settings(dir: &Path, ports: &Ports) -> anyhow::Result<String> {
    let root = dir.display();
    let between = ports.get(0)?;
    let mut text = format!(
        "data_dir = \"{root}/data\"\n\
         [smtp]\nhostname = \"mail.example.test\"\nplain_login_from_loopback = true\n\
         [imap]\nplain_login_from_loopback = true\n\
         [body]\npack_after = \"1s\"\npack_wait = \"1s\"\n\
         [blob]\nfolder = \"{root}/bodies\"\n\
         [meta]\nsegment_bytes = \"1MiB\"\nsnapshot_bytes = \"128KiB\"\nkeep_entries = 8\n\
         [queue]\nlifetime = \"36500d\"\nwarn_after = \"0\"\n\
         [queue.dns]\nservers = [\"127.0.0.1:9\"]\n\
         [cluster]\nlisten = [\"{between}\"]\naddress = \"{between}\"\n"
    );
    for protocol in ["smtp", "submission", "imap", "pop3", "http"] {
        text.push_str(&format!(
            "[[listener]]\nprotocol = \"{protocol}\"\nlisten = [\"127.0.0.1:0\"]\n"
        ));
    }
    Ok(text)
}

fn tar(arguments: &[&str], dir: &Path) -> anyhow::Result<()> {
    let ended = Command::new("tar")
        .args(arguments)
        .current_dir(dir)
        .status();
    let status = ended.context("tar does not run")?;
    ensure!(status.success(), "tar {arguments:?}: {status}");
    Ok(())
}
