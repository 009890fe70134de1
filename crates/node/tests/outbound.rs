//! The administration of outbound mail, with the real command line against a node:
//! the queue, message traces, and what domains publish.

// Clippy spares `#[test]` functions only, not their helpers.
#![allow(clippy::unwrap_used)]

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use postrider_meta::{
    Content, Encoding, NewBody, NewDestination, NewQueued, Origin, QueueEnvelope, QueuedRecipient,
    command,
};
use postrider_node::{Node, quickstart_settings, seed};
use postrider_types::{BodyId, Millis};
use serde_json::Value;
use tempfile::TempDir;

struct Running {
    node: Node,
    dir: TempDir,
    /// A name server that answers nothing: what is tried stays in the queue.
    _silence: UdpSocket,
}

/// What a command said.
struct Said {
    done: bool,
    out: String,
    err: String,
}

impl Running {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let mut settings = quickstart_settings(&data, None).unwrap();
        settings.smtp.hostname = "mail.example.net".into();
        let silence = UdpSocket::bind("127.0.0.1:0").unwrap();
        let silent = silence.local_addr().unwrap().to_string();
        settings.queue.dns.servers = vec![silent.parse().unwrap()];
        let node = Node::start(settings).await.unwrap();
        seed(node.meta(), &data).await.unwrap();
        Self {
            node,
            dir,
            _silence: silence,
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    async fn say(&self, line: &str) -> Said {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_postrider"))
            .arg("--dir")
            .arg(self.data())
            .args(line.split(' '))
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        Said {
            done: output.status.success(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// What a command that works prints.
    async fn told(&self, line: &str) -> String {
        let said = self.say(line).await;
        assert!(said.done, "{line}: {}", said.err);
        said.out
    }

    async fn json(&self, line: &str) -> Value {
        let text = self.told(&format!("{line} --json")).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error} in {text}"))
    }

    /// Why a command does not work.
    async fn refused(&self, line: &str) -> String {
        let said = self.say(line).await;
        assert!(!said.done, "{line}: {}", said.out);
        said.err
    }

    /// Queues a message from `sender` that is due in two hours and a half; its id.
    async fn queue(&self, sender: &str, to: Vec<NewDestination>) -> BodyId {
        let meta = self.node.meta();
        let now = meta.clock().now();
        let id = BodyId::new(now, meta.random());
        let accept = command::Accept {
            body: NewBody {
                id,
                size: 5,
                checksum: [7; 32],
                encoding: Encoding::Identity,
                content: Content::Inline(Bytes::from_static(b"hello")),
                summary: Bytes::new(),
                inline_budget: u64::MAX,
            },
            deliveries: Vec::new(),
            received: now,
            queued: Some(queued(sender, to, now)),
            origin: Some(Origin {
                node: None,
                peer: "client.example ([192.0.2.1])".into(),
                login: None,
                protocol: "ESMTPS".into(),
                reverse_path: sender.into(),
            }),
            notices: Vec::new(),
        };
        meta.run(accept).await.unwrap().0.unwrap();
        id
    }

    async fn stop(self) {
        assert_eq!(self.told("check").await, "no contradictions\n");
        self.node.shutdown().await.unwrap();
    }
}

fn queued(sender: &str, destinations: Vec<NewDestination>, now: Millis) -> NewQueued {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    NewQueued {
        envelope: QueueEnvelope {
            reverse_path: sender.into(),
            ret: None,
            envelope_id: None,
            smtp_utf8: false,
            require_tls: false,
            tls_optional: false,
            sign: None,
            submitter: None,
        },
        prefix: Bytes::from_static(b"Received: here\r\n"),
        destinations,
        // Nobody tries it while a test looks.
        due: now.after(minutes(150)),
        warn: None,
        expires: now.after(minutes(5 * 24 * 60)),
    }
}

fn to(name: &str, recipients: &[&str]) -> NewDestination {
    let recipient = |address: &&str| QueuedRecipient {
        address: (*address).to_owned(),
        notify: None,
        original: None,
        last: None,
    };
    NewDestination {
        sender: None,
        seal: None,
        list: None,
        fields: Default::default(),
        name: name.into(),
        recipients: recipients.iter().map(recipient).collect(),
    }
}

fn ids(list: &Value) -> Vec<u64> {
    let entries = list.as_array().unwrap().iter();
    entries.map(|entry| entry["id"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_found_shown_and_changed() {
    let node = Running::start().await;
    assert!(node.told("status").await.contains("\nthe queue is empty\n"));
    assert_eq!(node.json("queue list").await, serde_json::json!([]));
    let first = vec![
        to("one.test", &["ann@one.test", "eve@one.test"]),
        to("notone.test", &["bob@notone.test"]),
    ];
    let message = node.queue("alice@example.test", first).await;
    node.queue("", vec![to("two.test", &["carl+x@two.test"])])
        .await;

    let all = node.json("queue list").await;
    let [a, b, c] = ids(&all)[..] else {
        panic!("{all}")
    };
    assert_eq!(all[0]["message"], message.to_string());
    assert_eq!(all[0]["size"], 21);
    let table = node.told("queue list").await;
    assert!(table.starts_with("ID  AGE  SIZE  TRIED  SENDER"), "{table}");
    for part in ["ann@one.test +1", "in 2 h", "<>"] {
        assert!(table.contains(part), "{part:?} in {table}");
    }
    for (filter, found) in [
        ("--domain ONE.test", vec![a]),
        ("--domain test", vec![]),
        ("--sender ALICE", vec![a, b]),
        ("--recipient carl+x@", vec![c]),
        ("--sender alice --recipient bob", vec![b]),
        ("--state held", vec![]),
        ("--state waiting --limit 2", vec![a, b]),
        ("--error greylisted", vec![]),
    ] {
        let list = node.json(&format!("queue list {filter}")).await;
        assert_eq!(ids(&list), found, "{filter}");
    }
    let limited = node.told("queue list --limit 2").await;
    assert!(
        limited.ends_with("There are more than these 2: see --limit.\n"),
        "{limited}"
    );

    assert_eq!(
        node.told(&format!("queue hold q{a}")).await,
        "1 entry is held\n"
    );
    assert_eq!(
        node.told(&format!("queue hold {a}")).await,
        "1 entry is held\n"
    );
    let shown = node.told(&format!("queue show q{a}")).await;
    assert!(
        shown.contains("next         held\n") && shown.contains("\neve@one.test"),
        "{shown}"
    );
    let refused = node.refused(&format!("queue retry q{a} q{b} q999")).await;
    for part in [format!("q{a} is held"), "q999; it may have left".into()] {
        assert!(refused.contains(&part), "{part:?} in {refused}");
    }
    assert_eq!(
        node.told("queue release --state held").await,
        "1 entry goes on\n"
    );
    assert_eq!(
        node.told("queue release --all").await,
        "there was nothing to change\n"
    );
    assert_eq!(
        node.told("queue flush --domain one.test").await,
        "1 entry is tried now\n"
    );
    let destinations = node.json("queue destinations").await;
    let names: Vec<_> = destinations
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["notone.test", "one.test", "two.test"]);
    let status = node.told("status").await;
    assert!(
        status.contains("3 entries in the queue for 3 destinations, the oldest for "),
        "{status}"
    );

    let refused = node.refused("queue remove --sender alice").await;
    assert!(refused.contains("--yes"), "{refused}");
    assert_eq!(
        node.told(&format!("queue remove q{c}")).await,
        "1 entry is removed\n"
    );
    assert_eq!(
        node.told("queue remove --domain notone.test --yes").await,
        "1 entry is removed\n"
    );
    assert_eq!(ids(&node.json("queue list").await), [a]);
    assert_eq!(node.json("queue remove --all --yes").await["changed"], 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_queue_is_gone_through_page_by_page() {
    let node = Running::start().await;
    let many = vec![to("bulk.test", &["x@bulk.test"]); 1_000];
    for _ in 0..6 {
        node.queue("alice@example.test", many.clone()).await;
    }
    node.queue("bob@example.test", vec![to("last.test", &["z@last.test"])])
        .await;
    // More entries than one query looks at come before it.
    let found = node.json("queue list --recipient z@last.test").await;
    assert_eq!(ids(&found).len(), 1);
    assert_eq!(ids(&node.json("queue list").await).len(), 6_001);
    assert_eq!(node.told("queue list").await.lines().count(), 102);
    assert_eq!(
        ids(&node.json("queue list --limit 1500").await).len(),
        1_500
    );
    assert_eq!(
        node.told("queue hold --all").await,
        "6001 entries are held\n"
    );
    let removed = node.told("queue remove --domain bulk.test --yes").await;
    assert_eq!(removed, "6000 entries are removed\n");
    assert_eq!(
        node.json("queue list").await,
        serde_json::json!([found_held(&found)])
    );
    node.stop().await;
}

/// What was found, as it is when it is held.
fn found_held(found: &Value) -> Value {
    let mut entry = found[0].clone();
    entry["state"] = "held".into();
    entry
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_traced_by_its_id_and_by_its_entry() {
    let node = Running::start().await;
    let recipients = vec![
        to("one.test", &["ann@one.test"]),
        to("two.test", &["b@two.test"]),
    ];
    let message = node.queue("alice@example.test", recipients).await;
    let list = node.json("queue list").await;
    let [a, b] = ids(&list)[..] else {
        panic!("{list}")
    };
    node.told(&format!("queue hold q{a}")).await;
    node.told(&format!("queue remove q{b}")).await;
    let text = node.told(&format!("trace {message}")).await;
    for part in [
        format!("message   {message}\naccepted  "),
        " UTC, from client.example ([192.0.2.1]) with ESMTPS\nsender    alice@example.test\n"
            .into(),
        format!("ann@one.test  queue q{a}, held\n"),
        "b@two.test    removed\n".into(),
        "  held     -          one.test  -\n".into(),
        "  removed  -          two.test  -\n".into(),
    ] {
        assert!(text.contains(&part), "{part:?} in\n{text}");
    }
    assert_eq!(node.told(&format!("trace q{a}")).await, text);
    let json = node.json(&format!("trace q{a}")).await;
    assert_eq!(json["accepted"]["count"], 2);
    assert_eq!(ids(&json["waiting"]), [a]);
    for (id, why) in [
        (format!("q{b}"), "use the message's id"),
        ("0".repeat(32), "kept for 30 days"),
        ("nonsense".into(), "32 hexadecimal digits"),
    ] {
        let refused = node.refused(&format!("trace {id}")).await;
        assert!(refused.contains(why), "{refused}");
    }
    node.stop().await;
}

/// The selectors of the keys in `state`.
fn selectors(dns: &Value, state: &str) -> Vec<String> {
    let keys = dns["keys"].as_array().unwrap().iter();
    let keys = keys.filter(|key| key["state"] == state);
    keys.map(|key| key["selector"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_has_records_and_keys_that_are_exchanged_without_a_gap() {
    let node = Running::start().await;
    let added = node.told("domain add example.org").await;
    for part in [
        "added the domain example.org\n",
        "example.org  MX\n    10 mail.example.net.\n",
        "_domainkey.example.org  TXT\n    v=DKIM1; k=rsa; p=",
        "v=DKIM1; k=ed25519; p=",
        "_dmarc.example.org  TXT\n    v=DMARC1; p=none; rua=mailto:postmaster@example.org\n",
        "_smtp._tls.example.org  TXT\n",
        "_submissions._tcp.example.org  SRV\n",
        "Serve at https://mta-sts.example.org/.well-known/mta-sts.txt:\n    version: STSv1\n",
    ] {
        assert!(added.contains(part), "{part:?} in\n{added}");
    }
    let dns = node.json("domain dns example.org").await;
    let old = selectors(&dns, "active");
    assert_eq!(old.len(), 2);
    let zone = node.told("domain dns example.org --zone").await;
    let record = format!(
        "{}._domainkey.example.org. IN TXT \"v=DKIM1; k=rsa; p=",
        old[0]
    );
    assert!(zone.contains(&record), "{zone}");
    let is_line = |line: &str| line.starts_with("; ") || line.contains(" IN ");
    assert!(zone.lines().all(is_line), "{zone}");

    let said = node.told("domain rotate-keys example.org").await;
    assert!(
        said.contains("--activate") && !said.contains("  MX\n"),
        "{said}"
    );
    // The same pair until it is activated.
    assert_eq!(node.told("domain rotate-keys example.org").await, said);
    let dns = node.json("domain dns example.org").await;
    let new = selectors(&dns, "pending");
    assert_eq!((selectors(&dns, "active"), new.len()), (old.clone(), 2));
    assert!(new.iter().all(|selector| !old.contains(selector)));
    let said = node.told("domain rotate-keys example.org --activate").await;
    let signed = format!("is now signed with {} and {}.", new[0], new[1]);
    assert!(
        said.contains(&signed) && said.contains("DNS was not asked"),
        "{said}"
    );
    let dns = node.json("domain dns example.org").await;
    assert_eq!(
        (selectors(&dns, "active"), selectors(&dns, "retired")),
        (new.clone(), old)
    );
    let count = |dns: &Value| dns.to_string().matches("v=DKIM1").count() / 2;
    assert_eq!(count(&dns), 4);
    let refused = node
        .refused("domain rotate-keys example.org --activate")
        .await;
    assert!(refused.contains("no pending keys"), "{refused}");
    let dns = node
        .json("domain rotate-keys example.org --drop-retired")
        .await;
    assert_eq!((selectors(&dns, "active"), count(&dns)), (new, 2));
    node.refused("domain rotate-keys example.org --drop-retired")
        .await;

    let refused = node.refused("domain dns example.com").await;
    assert!(refused.contains("no such domain example.com"), "{refused}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_without_keys_says_how_to_make_them() {
    let node = Running::start().await;
    let domain = command::AddDomain {
        name: postrider_types::DomainName::parse("old.test").unwrap(),
        internal: false,
        catch_all: None,
        relay: None,
    };
    node.node.meta().run(domain).await.unwrap().0.unwrap();
    let text = node.told("domain dns old.test").await;
    assert!(
        text.contains("`postrider domain rotate-keys old.test`"),
        "{text}"
    );
    node.told("domain rotate-keys old.test").await;
    node.told("domain rotate-keys old.test --activate").await;
    let dns = node.json("domain dns old.test").await;
    assert_eq!(selectors(&dns, "active").len(), 2);
    // Nothing that is told has a private key in it.
    for key in dns["keys"].as_array().unwrap() {
        let fields: Vec<&String> = key.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["algorithm", "created", "selector", "state"]);
    }
    node.stop().await;
}
