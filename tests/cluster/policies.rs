//! The policy of another domain (MTA-STS) is fetched by one node for all, and binds
//! also those that could not fetch it.

use std::path::PathBuf;

use anyhow::ensure;
use postrider_route::testing::{Data, DnsServer};
use postrider_tests::{Act, Authority, HttpsServer, Member, Peer, Plan, Roles, Smtp};
use tempfile::TempDir;

use crate::{ALICE, PASSWORD, SOON, start, until};

const RECORD: &str = "_mta-sts.outside.test";
const SERVER: &str = "mta-sts.outside.test";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_one_node_has_fetched_binds_all() -> anyhow::Result<()> {
    let outside = Outside::new().await?;
    let mut turn = start(Plan {
        // The first sends no mail: of the others one at a time does.
        roles: &[Roles::Meta, Roles::Both, Roles::Both],
        settings: &outside.settings(),
        ..Plan::default()
    })
    .await?;
    let cluster = &mut turn.cluster;
    cluster.node_mut(2).kill().await?;
    outside.promise("1", "enforce");
    refused_by(cluster.node(1), "anna").await?;
    ensure!(outside.policies.requests() == 1);

    // Another node could never fetch the policy, and cannot now: nor does it try.
    outside.policies.answer("503 Gone", "");
    cluster.node_mut(2).start_again().await?;
    cluster.until_settled().await?;
    cluster.node_mut(1).kill().await?;
    refused_by(cluster.node(2), "bert").await?;
    ensure!(outside.peer.taken().is_empty(), "mail left unprotected");
    ensure!(outside.policies.requests() == 1, "it was fetched again");

    // A new policy is fetched by whoever sees its record, and holds on a node whose
    // resolver still has the old one.
    outside.promise("2", "testing");
    cluster.node_mut(1).start_again().await?;
    cluster.until_settled().await?;
    cluster.node(2).pause().await?;
    outside.sent_by(cluster.node(1), "carl").await?;
    cluster.node(2).proceed().await?;
    cluster.until_settled().await?;
    cluster.node_mut(1).kill().await?;
    outside.sent_by(cluster.node(2), "dora").await?;
    ensure!(outside.policies.requests() == 2, "fetched once more");
    turn.cluster.finish().await
}

/// `outside.test`, whose mail server has a certificate that leads to nobody.
struct Outside {
    dns: DnsServer,
    peer: Peer,
    policies: HttpsServer,
    authority: PathBuf,
    _folder: TempDir,
}

impl Outside {
    async fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("authority.pem");
        let authority = Authority::new()?;
        authority.write(&file)?;
        let tls = Authority::new()?.acceptor(&["mx.outside.test"])?;
        let peer = Peer::secured(tls, |_, _, _| Act::Accept).await?;
        let dns = DnsServer::start().await;
        dns.add_zone("outside.test", false);
        // Longer than the test: a node asks for a record once.
        dns.set_ttl("outside.test", 3600);
        dns.add("outside.test", Data::mx(10, "mx.outside.test"));
        dns.add("mx.outside.test", Data::address(peer.address().ip()));
        let policies = HttpsServer::start(authority.acceptor(&[SERVER])?).await?;
        dns.add(SERVER, Data::address(policies.address().ip()));
        Ok(Self {
            dns,
            peer,
            policies,
            authority: file,
            _folder: folder,
        })
    }

    fn settings(&self) -> String {
        format!(
            "[queue]\nport = {}\nloopback = true\nretry = [\"1s\"]\nlongest_rest = \"1s\"\n\
             [queue.dns]\nservers = [\"{}\"]\n\
             [queue.sts]\nport = {}\nextra_authorities = \"{}\"\n",
            self.peer.address().port(),
            self.dns.address(),
            self.policies.address().port(),
            self.authority.display(),
        )
    }

    /// Publishes a policy.
    fn promise(&self, id: &str, mode: &str) {
        let policy =
            format!("version: STSv1\r\nmode: {mode}\r\nmx: *.outside.test\r\nmax_age: 86400\r\n");
        self.policies.answer("200 OK", &policy);
        let record = format!("v=STSv1; id={id};");
        self.dns.set(RECORD, [Data::txt(&record)]);
    }

    /// Mail through `node`, the only one that sends, arrives.
    async fn sent_by(&self, node: &Member, user: &str) -> anyhow::Result<()> {
        submit(node, user).await?;
        let subject = format!("Subject: to {user}\r\n");
        until("the mail arrives", SOON, async || {
            let taken = self.peer.taken();
            let mut contents = taken.iter().map(|taken| &taken.content);
            Ok(contents.any(|it| it.contains(&subject)).then_some(()))
        })
        .await
    }
}

/// Mail through `node`, the only one that sends, stays in the queue.
async fn refused_by(node: &Member, user: &str) -> anyhow::Result<()> {
    submit(node, user).await?;
    let error = until("the mail is tried", SOON, async || {
        let list = node.api(&format!("/v1/queue?recipient={user}")).await?;
        let entry = &list["items"][0];
        ensure!(entry.is_object(), "mail to {user} has left");
        Ok(entry["last_error"].as_str().map(str::to_owned))
    })
    .await?;
    ensure!(error.contains("the TLS handshake failed"), "{error}");
    Ok(())
}

/// Has `node` take mail to `user` as soon as it can: there may be no leader yet.
async fn submit(node: &Member, user: &str) -> anyhow::Result<()> {
    let to = format!("{user}@outside.test");
    let text = format!("From: <{ALICE}>\r\nSubject: to {user}\r\n\r\nHello.\r\n");
    until("the node takes mail", SOON, async || {
        let mut smtp = Smtp::connect(node.addresses().submission).await?;
        smtp.expect(250, "EHLO client.test").await?;
        if smtp.login(ALICE, PASSWORD).await.is_err() {
            return Ok(None);
        }
        let reply = smtp.deliver(ALICE, &to, &text).await?;
        Ok((reply.code == 250).then_some(()))
    })
    .await
}
