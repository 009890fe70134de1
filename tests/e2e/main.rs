//! End to end: a real node as a process of its own, spoken to over the wire.
//!
//! Every test starts its own node on free ports and ends with
//! [`Node::finish`], which checks the metadata's consistency. With
//! `POSTRIDER_TEST_S3` set to the URL of a bucket the bodies lie there.

mod addresses;
mod administration;
mod bad_input;
mod bodies;
mod bucket;
mod delivery;
mod forwarding;
mod gateway;
mod lists;
mod mailboxes;
mod maildrop;
mod notices;
mod outbound;
mod pace;
mod protection;
mod restart;
mod tls_reports;
mod web;

use postrider_tests::{Imap, Node, Pop3, Smtp};

/// The two accounts of each node, and their password.
const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";
const PASSWORD: &str = "postrider";

/// A fresh node.
async fn start() -> anyhow::Result<Node> {
    Node::start(env!("CARGO_BIN_EXE_postrider-under-test")).await
}

/// A message with this subject and body.
fn message(subject: &str, body: &str) -> String {
    format!(
        "From: Stranger <stranger@outside.test>\r\nTo: {ALICE}\r\nSubject: {subject}\r\n\
         Date: Mon, 2 Nov 2026 09:12:13 +0000\r\nMessage-ID: <{subject}@outside.test>\r\n\
         \r\n{body}\r\n"
    )
}

/// Delivers one message to `to` and expects 250.
async fn deliver(node: &Node, to: &str, message: &str) -> anyhow::Result<()> {
    let mut smtp = Smtp::connect(node.addresses().smtp).await?;
    smtp.expect(250, "EHLO client.test").await?;
    let reply = smtp.deliver("stranger@outside.test", to, message).await?;
    anyhow::ensure!(reply.code == 250, "{reply:?}");
    Ok(())
}

/// An IMAP session of `user`.
async fn imap(node: &Node, user: &str) -> anyhow::Result<Imap> {
    Imap::login(node.addresses().imap, user, PASSWORD).await
}

/// A POP3 session of `user`.
async fn pop3(node: &Node, user: &str) -> anyhow::Result<Pop3> {
    Pop3::login(node.addresses().pop3, user, PASSWORD).await
}
