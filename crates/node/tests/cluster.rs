//! Several real processes become a cluster and change: init, join, remove, a
//! frontend, a machine that lost its disk. What an administrator types and reads.

// Clippy spares `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used)]

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(90);

/// One node's folder, settings and process.
struct Node {
    dir: PathBuf,
    child: Option<Child>,
    /// HOST:PORT for other nodes.
    address: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An address that nobody listens on.
fn free() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    // Not 127.0.0.1, whose ports the system also gives to outgoing connections.
    let [.., a, b] = std::process::id().to_be_bytes();
    let ip = [127, a, b, NEXT.fetch_add(1, Ordering::Relaxed)];
    let listener = TcpListener::bind(SocketAddr::from((ip, 0))).unwrap();
    listener.local_addr().unwrap().to_string()
}

impl Node {
    /// A node with settings of its own in `root`, where all bodies lie.
    fn new(root: &TempDir, name: &str, roles: &str) -> Self {
        Self::at(root, name, roles, &free())
    }

    fn at(root: &TempDir, name: &str, roles: &str, address: &str) -> Self {
        let dir = root.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let mail = match roles.contains("frontend") {
            true => "[[listener]]\nprotocol = \"imap\"\nlisten = [\"127.0.0.1:0\"]\n",
            false => "",
        };
        let text = format!(
            "data_dir = \"{dir}/data\"\nroles = {roles}\n\
             [log]\nlevel = \"info\"\n\
             [smtp]\nhostname = \"mail.example.test\"\n\
             [blob]\nfolder = \"{bodies}\"\n\
             [meta]\nsegment_bytes = \"1MiB\"\ncache_bytes = \"4MiB\"\n\
             [cluster]\nname = \"{name}\"\nlisten = [\"{address}\"]\naddress = \"{address}\"\n\
             [[listener]]\nprotocol = \"http\"\nlisten = [\"127.0.0.1:0\"]\n{mail}",
            dir = dir.display(),
            bodies = root.path().join("bodies").display(),
        );
        std::fs::write(dir.join("p.toml"), text).unwrap();
        Self {
            dir,
            child: None,
            address: address.to_owned(),
        }
    }

    fn config(&self) -> String {
        self.dir.join("p.toml").display().to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command.arg("--dir").arg(self.dir.join("data"));
        command.args(arguments).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must go well, and gives what it printed.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must be refused, and gives the reason.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn init(&self) -> String {
        let answer = self.done(&["cluster", "init", "--json", "--config", &self.config()]);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Joins; the node's id.
    fn join(&self, token: &str) -> u64 {
        let config = self.config();
        let answer = self.done(&["cluster", "join", "--json", "--config", &config, token]);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["node"].as_u64().unwrap()
    }

    fn token(&self) -> String {
        self.done(&["cluster", "token"]).trim().to_owned()
    }

    fn begin(&mut self) {
        let log = std::fs::File::create(self.dir.join("log")).unwrap();
        let ready = self.dir.join("ready.json");
        let _ = std::fs::remove_file(&ready);
        let config = self.config();
        let mut command = self.command(&["serve", "--config", &config, "--ready-file"]);
        let child = command.arg(&ready).stderr(log).spawn().unwrap();
        self.child = Some(child);
    }

    fn start(&mut self) {
        self.begin();
        let ready = self.dir.join("ready.json");
        self.until("ready", |_| ready.exists());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap()
    }

    /// Waits until `holds`, while the process runs.
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what}: {}", self.log());
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{what}: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the process has ended by itself; how.
    fn end(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                self.child = None;
                return status;
            }
            assert!(Instant::now() < deadline, "it goes on: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM; it must end well.
    fn stop(&mut self) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        assert!(self.end().success(), "{}", self.log());
    }

    fn status(&self) -> (bool, Value) {
        let output = self.run(&["cluster", "status", "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let value = serde_json::from_str(&text).unwrap_or(Value::Null);
        (output.status.success(), value)
    }

    fn until_safe(&mut self) {
        self.until("safe", |node| node.status().0);
    }
}

const BOTH: &str = r#"["meta", "frontend"]"#;

fn three(root: &TempDir) -> [Node; 3] {
    let mut nodes = [1, 2, 3].map(|id| Node::new(root, &format!("mail{id}"), BOTH));
    let token = nodes[0].init();
    nodes[0].start();
    assert_eq!(nodes[1].join(&token), 2);
    assert_eq!(nodes[2].join(&token), 3);
    nodes[1].start();
    nodes[2].start();
    nodes[0].until_safe();
    nodes
}

fn exists(path: &Path) -> bool {
    path.exists()
}

#[test]
fn three_nodes_serve_the_same_and_one_goes_for_good() {
    let root = tempfile::tempdir().unwrap();
    let [mut first, mut second, mut third] = three(&root);
    let words = first.done(&["cluster", "status"]);
    assert!(words.contains("Safe: any one node may fail."), "{words}");
    // What is done on one is there on the others.
    first.done(&["domain", "add", "example.test"]);
    assert!(third.done(&["domain", "list"]).contains("example.test"));
    assert!(second.done(&["check"]).contains("no contradictions"));
    // The token had two uses.
    let fourth = Node::new(&root, "mail4", BOTH);
    let text = fourth.refused(&["cluster", "init"]);
    assert!(text.contains("postrider.toml"), "{text}");

    second.done(&["cluster", "transfer-leader", "2"]);
    assert_eq!(second.status().1["leader"], 2);

    // One is away: said so, with what to do.
    third.kill();
    first.until("noticed", |node| !node.status().0);
    let words = String::from_utf8(first.run(&["cluster", "status"]).stdout).unwrap();
    let expected = format!(
        "because node 3 ({}) does not answer: start it, or remove it with `postrider cluster \
         remove 3` and join another",
        third.address
    );
    assert!(words.contains(&expected), "{words}");
    // Two that need each other: neither may go.
    let text = first.refused(&["cluster", "remove", "2"]);
    assert!(text.contains("only 1 of 2"), "{text}");
    first.done(&["cluster", "remove", "3"]);
    first.done(&["cluster", "remove", "3"]);
    let text = first.refused(&["cluster", "remove", "9"]);
    assert!(text.contains("there is no node 9"), "{text}");
    // It comes back, and is told.
    third.begin();
    assert!(!third.end().success());
    let log = third.log();
    assert!(log.contains("was removed from the cluster"), "{log}");
    first.done(&["domain", "add", "other.test"]);
    second.stop();
    // Alone of two it says what is wrong, and waits.
    first.until("noticed", |node| !node.status().0);
    first.kill();
    first.begin();
    let url = first.dir.join("data/admin.url");
    first.until("asked", |node| {
        exists(&url) && node.status().1["verdict"].is_string()
    });
}

#[test]
fn a_machine_that_lost_its_disk_takes_its_place_again() {
    let root = tempfile::tempdir().unwrap();
    let [mut first, second, mut third] = three(&root);
    first.done(&["domain", "add", "example.test"]);
    third.kill();
    std::fs::remove_dir_all(third.dir.join("data")).unwrap();
    let mut again = Node::at(&root, "mail3", BOTH, &third.address);
    assert_eq!(again.join(&first.token()), 4);
    again.start();
    assert!(again.done(&["domain", "list"]).contains("example.test"));
    first.until("whole", |node| {
        let (safe, status) = node.status();
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let ids: Vec<_> = nodes.iter().filter_map(|n| n["node"].as_u64()).collect();
        safe && ids == [1, 2, 4]
    });
    drop(second);
}

#[test]
fn a_frontend_holds_no_metadata() {
    let root = tempfile::tempdir().unwrap();
    let mut first = Node::new(&root, "meta1", r#"["meta"]"#);
    let token = first.init();
    first.start();
    let mut front = Node::new(&root, "front1", r#"["frontend"]"#);
    assert_eq!(front.join(&token), 2);
    front.start();
    front.done(&["domain", "add", "example.test"]);
    assert!(first.done(&["domain", "list"]).contains("example.test"));
    assert!(!front.dir.join("data/meta").exists());
    let text = front.refused(&["check"]);
    assert!(text.contains("holds no metadata"), "{text}");
    let (safe, status) = front.status();
    assert!(!safe);
    assert_eq!(status["leader"], 1);
    let text = front.refused(&["cluster", "remove", "1"]);
    assert!(text.contains("the only one with metadata"), "{text}");
    // It waits for the metadata, and says so meanwhile.
    first.kill();
    front.stop();
    front.begin();
    let url = front.dir.join("data/admin.url");
    front.until("asked", |_| exists(&url));
    first.start();
    let ready = front.dir.join("ready.json");
    front.until("ready", |_| exists(&ready));
    front.done(&["cluster", "remove", "2", "--force"]);
    assert!(!front.end().success());
    let log = front.log();
    assert!(log.contains("was removed from the cluster"), "{log}");
}

#[test]
fn a_frontend_takes_on_metadata() {
    let root = tempfile::tempdir().unwrap();
    let mut first = Node::new(&root, "meta1", r#"["meta"]"#);
    let token = first.init();
    first.start();
    let mut front = Node::new(&root, "front1", r#"["frontend"]"#);
    assert_eq!(front.join(&token), 2);
    front.start();
    front.done(&["domain", "add", "example.test"]);
    front.stop();
    let text = std::fs::read_to_string(front.config()).unwrap();
    let text = text.replace(r#"roles = ["frontend"]"#, &format!("roles = {BOTH}"));
    std::fs::write(front.config(), text).unwrap();
    front.start();
    front.until("a voter", |node| {
        let nodes = node.status().1["nodes"].as_array().cloned();
        let votes = |node: &Value| node["voter"] == true;
        nodes.is_some_and(|nodes| nodes.len() == 2 && nodes.iter().all(votes))
    });
    let done = front.done(&["check"]);
    assert!(done.contains("no contradictions"), "{done}");
    assert!(front.done(&["domain", "list"]).contains("example.test"));
}

#[test]
fn a_node_that_stood_alone_founds_a_cluster_with_its_mail() {
    let root = tempfile::tempdir().unwrap();
    let mut first = Node::new(&root, "mail1", BOTH);
    let text = std::fs::read_to_string(first.dir.join("p.toml")).unwrap();
    let begin = text.find("[cluster]").unwrap();
    let end = text[begin..].find("[[listener]]").unwrap() + begin;
    let alone = text.replace(&text[begin..end], "");
    let config = first.dir.join("p.toml");
    std::fs::write(&config, &alone).unwrap();
    let reason = first.refused(&["cluster", "init", "--config", &first.config()]);
    assert!(reason.contains("no section [cluster]"), "{reason}");
    first.start();
    first.done(&["domain", "add", "example.test"]);
    let reason = first.refused(&["cluster", "status"]);
    assert!(reason.contains("stands alone"), "{reason}");
    std::fs::write(&config, &text).unwrap();
    let reason = first.refused(&["cluster", "init", "--config", &first.config()]);
    assert!(reason.contains("another Postrider runs"), "{reason}");
    first.stop();
    // Settings of a cluster without an identity, and the other way round.
    first.begin();
    assert!(!first.end().success());
    assert!(
        first.log().contains("postrider cluster init"),
        "{}",
        first.log()
    );
    let token = first.init();
    let reason = first.refused(&["cluster", "init", "--config", &first.config()]);
    assert!(reason.contains("already node 1"), "{reason}");
    std::fs::write(&config, &alone).unwrap();
    first.begin();
    assert!(!first.end().success());
    assert!(
        first.log().contains("no [cluster] section"),
        "{}",
        first.log()
    );
    std::fs::write(&config, &text).unwrap();
    first.start();
    assert!(first.done(&["domain", "list"]).contains("example.test"));

    // Who joins brings no mail, and a whole token.
    let other = Node::new(&root, "mail2", BOTH);
    std::fs::create_dir_all(other.dir.join("data/meta/log")).unwrap();
    let join = ["cluster", "join", "--config"];
    let reason = other.refused(&[&join[..], &[&other.config(), &token]].concat());
    assert!(reason.contains("empty data_dir"), "{reason}");
    std::fs::remove_dir_all(other.dir.join("data/meta")).unwrap();
    let cut = &token[..token.len() - 5];
    other.refused(&[&join[..], &[&other.config(), cut]].concat());
    assert_eq!(other.join(&token), 2);
    // Of a cut-off token nothing was used: one use is left.
    assert_eq!(Node::new(&root, "mail3", BOTH).join(&token), 3);
    let fourth = Node::new(&root, "mail4", BOTH);
    let reason = fourth.refused(&[&join[..], &[&fourth.config(), &token]].concat());
    assert!(reason.contains("postrider cluster token"), "{reason}");
}

#[test]
fn not_well_and_not_known_have_exit_codes_of_their_own() {
    let root = tempfile::tempdir().unwrap();
    let mut node = Node::new(&root, "mail1", BOTH);
    node.init();
    node.start();
    let code = |node: &Node, arguments: &[&str]| node.run(arguments).status.code();
    // Alone it may not fail; all else is well.
    assert_eq!(code(&node, &["cluster", "status"]), Some(1));
    assert_eq!(code(&node, &["status"]), Some(0));
    assert_eq!(code(&node, &["check"]), Some(0));
    node.stop();
    for question in [&["cluster", "status"][..], &["status"], &["check"]] {
        assert_eq!(code(&node, question), Some(2), "{question:?}");
    }
    // What changes something has done it or not.
    assert_eq!(code(&node, &["cluster", "token"]), Some(1));
}

#[test]
fn a_founding_that_the_store_refuses_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let mut first = Node::new(&root, "mail1", BOTH);
    let token = first.init();
    first.start();
    let second = Node::new(&root, "mail2", BOTH);
    let config = second.config();
    let text = second.refused(&["cluster", "init", "--config", &config]);
    assert!(text.contains("object store"), "{text}");
    let data = second.dir.join("data");
    for left in ["meta", "store.claim", "cluster"] {
        assert!(!exists(&data.join(left)), "{left} is left");
    }
    // So the node may join as if nothing had been.
    assert_eq!(second.join(&token), 2);
}

#[test]
fn a_dead_node_is_replaced_by_one_command_and_a_token() {
    let root = tempfile::tempdir().unwrap();
    let [mut first, second, mut third] = three(&root);
    third.kill();
    let token = first.done(&["cluster", "replace", "3"]);
    let mut new = Node::new(&root, "mail4", BOTH);
    assert_eq!(new.join(token.trim()), 4);
    new.start();
    first.until("whole", |node| {
        let (safe, status) = node.status();
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let ids: Vec<_> = nodes.iter().filter_map(|n| n["node"].as_u64()).collect();
        safe && ids == [1, 2, 4]
    });
    drop(second);
}

#[test]
fn a_store_without_tls_needs_no_authorities_of_the_system() {
    let root = tempfile::tempdir().unwrap();
    let node = Node::new(&root, "mail1", BOTH);
    let file = node.dir.join("p.toml");
    let folder = format!("folder = \"{}\"", root.path().join("bodies").display());
    let s3 = "deadline = \"1s\"\n[blob.s3]\nbucket = \"mail\"\nendpoint = \"http://127.0.0.1:1\"\n\
              access_key_id = \"a\"\nsecret_access_key = \"b\"";
    let text = std::fs::read_to_string(&file).unwrap().replace(&folder, s3);
    std::fs::write(&file, text).unwrap();
    let config = node.config();
    let mut command = node.command(&["cluster", "init", "--config", &config]);
    command
        .env("SSL_CERT_FILE", "/nowhere")
        .env("SSL_CERT_DIR", "/nowhere");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    // Nobody is there: but that is all that is wrong.
    assert!(text.contains("needs the object store"), "{text}");
    assert!(!text.contains("certificate"), "{text}");
}

#[test]
fn the_administration_speaks_tls_where_it_is_told_to() {
    let root = tempfile::tempdir().unwrap();
    let mut node = Node::new(&root, "mail1", BOTH);
    let file = node.dir.join("p.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        text.replace("protocol = \"http\"", "protocol = \"https\""),
    )
    .unwrap();
    node.init();
    node.start();
    let data = node.dir.join("data");
    let url = std::fs::read_to_string(data.join("admin.url")).unwrap();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    assert_eq!(node.run(&["status"]).status.code(), Some(0));
    // From elsewhere, with the authority, which signed for the name of the host, too.
    let elsewhere = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command.args(["--url", url.trim(), "--token-file"]);
        command
            .arg(data.join("admin.token"))
            .args(more)
            .arg("status");
        command.stdin(Stdio::null()).output().unwrap()
    };
    let ca = data.join("cluster/ca.pem").display().to_string();
    assert!(elsewhere(&["--ca", &ca]).status.success());
    let unknown = elsewhere(&[]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&unknown.stderr).contains("--ca"),
        "{unknown:?}"
    );
    // Nobody else's certificate, and no plain text.
    let other = Node::new(&root, "mail2", BOTH);
    let config = other.config();
    let text = std::fs::read_to_string(&config).unwrap();
    let bodies = format!("{}/bodies", root.path().display());
    std::fs::write(&config, text.replace(&bodies, &format!("{bodies}2"))).unwrap();
    other.init();
    let wrong = other.dir.join("data/cluster/ca.pem").display().to_string();
    assert_eq!(elsewhere(&["--ca", &wrong]).status.code(), Some(2));
    let plain = url.trim().replace("https", "http");
    let output = node.run(&["--url", &plain, "status"]);
    assert_eq!(output.status.code(), Some(2));
    node.stop();
}
