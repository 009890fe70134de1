//! The first thing that anybody does: start quickstart, send a message, read it
//! with IMAP and POP3, stop, start again, find it again. Against the real
//! binary, as a person would.

// Clippy spares `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

struct Running {
    child: Child,
    ports: serde_json::Value,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(dir: &Path) -> Self {
        let ready = dir.join("ready.json");
        let _ = std::fs::remove_file(&ready);
        let child = postrider(dir)
            .args(["quickstart", "--free-ports", "--ready-file"])
            .arg(&ready)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut running = Self {
            child,
            ports: serde_json::Value::Null,
        };
        let deadline = Instant::now() + PATIENCE;
        while !ready.exists() {
            assert!(Instant::now() < deadline, "not ready in time");
            assert!(running.child.try_wait().unwrap().is_none(), "it ended");
            std::thread::sleep(Duration::from_millis(10));
        }
        running.ports = serde_json::from_slice(&std::fs::read(&ready).unwrap()).unwrap();
        running
    }

    fn connect(&self, protocol: &str) -> Talk {
        let address = self.ports["listeners"][protocol][0].as_str().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Talk {
            reader: BufReader::new(stream),
        }
    }

    /// SIGTERM; it must end well.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

fn postrider(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command.arg("--dir").arg(dir.join("data"));
    command
}

fn cli(dir: &Path, arguments: &[&str]) -> Output {
    postrider(dir)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

struct Talk {
    reader: BufReader<TcpStream>,
}

impl Talk {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line
    }

    fn say(&mut self, text: &str) {
        self.reader.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Sends `text` and reads up to a line that begins with `end`.
    fn until(&mut self, text: &str, end: &str) -> String {
        self.say(text);
        let mut all = String::new();
        loop {
            let line = self.line();
            assert!(
                !line.is_empty(),
                "closed after {all:?}, waiting for {end:?}"
            );
            all.push_str(&line);
            if line.starts_with(end) {
                return all;
            }
        }
    }
}

fn read_by_imap(node: &Running, user: &str) -> String {
    let mut imap = node.connect("imap");
    imap.until("", "* OK");
    imap.until(&format!("a LOGIN {user} postrider\r\n"), "a OK");
    imap.until("b SELECT INBOX\r\n", "b OK");
    imap.until("c FETCH 1:* BODY.PEEK[]\r\n", "c OK")
}

#[test]
fn mail_goes_in_comes_out_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let node = Running::start(dir.path());

    let mut smtp = node.connect("smtp");
    smtp.until("", "220 ");
    smtp.until("EHLO client.example\r\n", "250 ");
    smtp.until("MAIL FROM:<stranger@example.org>\r\n", "250 ");
    smtp.until("RCPT TO:<alice@example.test>\r\n", "250 ");
    smtp.until("DATA\r\n", "354 ");
    smtp.until("Subject: hello\r\n\r\nIt works.\r\n.\r\n", "250 ");
    smtp.until("QUIT\r\n", "221 ");

    let before = read_by_imap(&node, "alice@example.test");
    assert!(
        before.contains("Subject: hello\r\n") && before.contains("\r\nIt works.\r\n"),
        "{before}"
    );

    let mut pop3 = node.connect("pop3");
    pop3.until("", "+OK");
    pop3.until("USER alice@example.test\r\n", "+OK");
    pop3.until("PASS postrider\r\n", "+OK");
    let message = pop3.until("RETR 1\r\n", ".\r\n");
    assert!(message.contains("\r\nIt works.\r\n"), "{message}");
    pop3.until("QUIT\r\n", "+OK");

    node.stop();
    let node = Running::start(dir.path());
    assert_eq!(read_by_imap(&node, "alice@example.test"), before);
    node.stop();
}

#[test]
fn the_command_line_finds_the_node_and_says_when_it_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let failed = cli(dir.path(), &["account", "list"]);
    assert!(!failed.status.success());
    let text = String::from_utf8(failed.stderr).unwrap();
    assert!(
        text.contains("No node is known") && text.contains("--dir"),
        "{text}"
    );

    let node = Running::start(dir.path());
    let listed = cli(dir.path(), &["account", "list"]);
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(
        text.contains("alice@example.test") && text.contains("bob@example.test"),
        "{text}"
    );

    let missing = cli(dir.path(), &["account", "show", "carol@example.test"]);
    let text = String::from_utf8(missing.stderr).unwrap();
    assert!(
        !missing.status.success() && text.contains("carol@example.test"),
        "{text}"
    );

    let file = dir.path().join("password");
    std::fs::write(&file, "sesame\n").unwrap();
    let file = file.to_str().unwrap();
    for arguments in [
        &[
            "account",
            "add",
            "carol@example.test",
            "--quota",
            "2GiB",
            "--password-file",
            file,
        ][..],
        &[
            "account",
            "set",
            "carol@example.test",
            "--expires",
            "2099-01-31",
        ],
        &[
            "alias",
            "add",
            "info@example.test",
            "carol@example.test",
            "bob@example.test",
        ],
        &[
            "group",
            "add",
            "team@example.test",
            "alice@example.test",
            "--internal",
        ],
        &[
            "group",
            "members",
            "add",
            "team@example.test",
            "bob@example.test",
        ],
        &[
            "domain",
            "add",
            "second.test",
            "--catch-all",
            "alice@example.test",
        ],
        &["default-mailboxes", "set", "Sent:sent", "Projects"],
        &["status"],
        &["check"],
    ] {
        let done = cli(dir.path(), arguments);
        let errors = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{arguments:?}: {errors}");
    }
    let shown = cli(
        dir.path(),
        &["account", "show", "carol@example.test", "--json"],
    );
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["quota_bytes"], 2_u64 << 30);
    assert_eq!(shown["expires"], "2099-01-31");
    let group = cli(
        dir.path(),
        &["group", "show", "team@example.test", "--json"],
    );
    let group: serde_json::Value = serde_json::from_slice(&group.stdout).unwrap();
    let members = ["alice@example.test", "bob@example.test"];
    assert_eq!(group["members"], serde_json::json!(members));
    assert_eq!(group["internal"], true);
    let mailboxes = cli(dir.path(), &["default-mailboxes", "list", "--json"]);
    let text = String::from_utf8(mailboxes.stdout).unwrap();
    assert!(text.contains("Projects") && text.contains("sent"), "{text}");
    node.stop();
}

#[test]
fn a_second_start_in_the_same_folder_is_refused_clearly() {
    let dir = tempfile::tempdir().unwrap();
    let node = Running::start(dir.path());
    let second = cli(dir.path(), &["quickstart", "--free-ports"]);
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(
        !second.status.success() && text.contains("another Postrider runs in"),
        "{text}"
    );
    node.stop();
}

#[test]
fn a_taken_port_is_named_with_its_protocol_and_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    // An offset that moves the SMTP port onto the taken one.
    let port = taken.local_addr().unwrap().port();
    let Some(offset) = port.checked_sub(2525).filter(|n| *n < 62_000) else {
        return;
    };
    let failed = cli(
        dir.path(),
        &["quickstart", "--port-offset", &offset.to_string()],
    );
    let text = String::from_utf8(failed.stderr).unwrap();
    assert!(!failed.status.success());
    assert!(
        text.contains("the smtp listener") && text.contains(&format!(":{port}")),
        "{text}"
    );
    assert!(text.contains("--port-offset"), "{text}");
}
