//! A cluster under test: real processes with one store of bodies, which are
//! killed, started again, removed and joined.

mod look;
mod member;
mod place;

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tempfile::TempDir;

pub use self::member::{Member, Roles};

use self::member::{configured, own_id};
use self::place::Place;
use crate::host::Host;
use crate::ports::Ports;
use crate::process::{Process, blob};

/// What a cluster begins with.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The nodes' roles; the first founds the cluster.
    pub roles: &'a [Roles],
    /// Sections for all nodes' settings files beside `[smtp]`, `[imap]`, `[pop3]`,
    /// `[body]`, `[blob]` and `[cluster]`.
    pub settings: &'a str,
    /// The most connections of one client to a protocol's listeners.
    pub connections_per_address: u32,
    /// Where the nodes are, in the order of joining; none: all on loopback.
    pub hosts: &'a [Host],
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self {
            roles: &[Roles::Both; 3],
            settings: "",
            connections_per_address: 10_000,
            hosts: &[],
        }
    }
}

/// A running cluster; its nodes are killed when it is dropped.
pub struct Cluster {
    binary: String,
    settings: String,
    connections_per_address: u32,
    hosts: Vec<Host>,
    members: Vec<Member>,
    dir: TempDir,
}

impl Cluster {
    /// Starts a cluster with the domain `example.test` and the accounts `alice` and
    /// `bob`, password `postrider`. `binary` as for [`crate::Node::start`].
    pub async fn start(binary: &str, plan: Plan<'_>) -> anyhow::Result<Self> {
        let mut cluster = Self::empty(binary, &plan)?;
        let (first, others) = plan.roles.split_first().context("no nodes")?;
        cluster.found(*first).await?;
        for roles in others {
            cluster.join(*roles).await?;
        }
        cluster.until_settled().await?;
        let founder = cluster.node(0);
        founder.cli(&["domain", "add", "example.test"]).await?;
        founder.account("alice@example.test").await?;
        founder.account("bob@example.test").await?;
        Ok(cluster)
    }

    fn empty(binary: &str, plan: &Plan<'_>) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut settings = format!("{}\n", plan.settings);
        if plan.hosts.is_empty() {
            settings += &blob(dir.path())?;
        }
        Ok(Self {
            binary: binary.to_owned(),
            settings,
            connections_per_address: plan.connections_per_address,
            hosts: plan.hosts.to_vec(),
            members: Vec::new(),
            dir,
        })
    }

    /// Starts the nodes of `plan` all at once. They join each other by a secret that
    /// they share, without a person; the first one may found. Those that serve mail
    /// alone leave when they are stopped.
    pub async fn enter(binary: &str, plan: Plan<'_>) -> anyhow::Result<Self> {
        let mut cluster = Self::empty(binary, &plan)?;
        for roles in plan.roles {
            let member = cluster.member(*roles)?;
            cluster.members.push(member);
        }
        let holders = cluster.members.iter().filter(|m| m.roles.is_meta());
        let seeds: Vec<String> = holders
            .map(|member| Ok(member.place.rpc()?.to_string()))
            .collect::<anyhow::Result<_>>()?;
        let seeds = serde_json::to_string(&seeds)?;
        let secret = cluster.dir.path().join("join.secret");
        std::fs::write(&secret, "0123456789abcdef0123456789abcdef\n")?;
        for (place, member) in cluster.members.iter_mut().enumerate() {
            let leaves = !member.roles.is_meta();
            let process = &mut member.process;
            process.set("POSTRIDER__CLUSTER__NAME", &format!("node-{place}"));
            process.set("POSTRIDER__CLUSTER__FOUNDER", "node-0");
            process.set("POSTRIDER__CLUSTER__SEEDS", &seeds);
            process.set("POSTRIDER__CLUSTER__LEAVE_ON_STOP", &leaves.to_string());
            process.set(
                "POSTRIDER__CLUSTER__JOIN_SECRET_FILE",
                &secret.to_string_lossy(),
            );
            process.spawn()?;
        }
        for member in &mut cluster.members {
            member.process.await_ready().await?;
            member.id = own_id(member)?;
        }
        cluster.until_settled().await?;
        cluster
            .node(0)
            .cli(&["domain", "add", "example.test"])
            .await?;
        cluster.node(0).account("alice@example.test").await?;
        Ok(cluster)
    }

    async fn found(&mut self, roles: Roles) -> anyhow::Result<()> {
        let mut member = self.member(roles)?;
        configured(&member, &["init"], &[]).await?;
        member.process.start_again().await?;
        member.id = own_id(&member)?;
        self.members.push(member);
        Ok(())
    }

    /// A new node with an empty disk joins, and is ready; its place.
    pub async fn join(&mut self, roles: Roles) -> anyhow::Result<usize> {
        let token = self.token().await?;
        self.join_with(roles, &token).await
    }

    /// The same with a token that is there already.
    pub async fn join_with(&mut self, roles: Roles, token: &str) -> anyhow::Result<usize> {
        let mut member = self.member(roles)?;
        configured(&member, &["join"], &[token]).await?;
        member.process.start_again().await?;
        member.id = own_id(&member)?;
        self.members.push(member);
        Ok(self.members.len() - 1)
    }

    /// The cluster's id.
    pub async fn id(&self) -> anyhow::Result<String> {
        let (_, status) = self.status().await?;
        let id = status["cluster"].as_str();
        Ok(id.with_context(|| format!("no id in {status}"))?.to_owned())
    }

    /// All nodes die, and their disks are gone.
    pub async fn lose_all(&mut self) -> anyhow::Result<()> {
        for member in self.members.iter_mut().filter(|member| !member.removed) {
            if member.process.runs() {
                member.process.kill().await?;
            }
            member.removed = true;
            std::fs::remove_dir_all(member.dir().join("data"))?;
        }
        Ok(())
    }

    /// Builds a new cluster of one from the bucket, and starts it; its place, and what
    /// the command told.
    pub async fn recover(&mut self, arguments: &[&str]) -> anyhow::Result<(usize, Value)> {
        let mut member = self.member(Roles::Both)?;
        let file = member.dir().join("postrider.toml");
        let file = file.to_string_lossy();
        let all = ["recover", "--json", "--config", &*file];
        let all: Vec<&str> = all.iter().chain(arguments).copied().collect();
        let (status, printed) = member.tool(&all, b"").await?;
        ensure!(status.success(), "{all:?}: {status}: {printed}");
        let told = serde_json::from_str(&printed)?;
        member.process.start_again().await?;
        member.id = own_id(&member)?;
        self.members.push(member);
        Ok((self.members.len() - 1, told))
    }

    /// A join token for one node.
    pub async fn token(&self) -> anyhow::Result<String> {
        let answer = self.any()?.cli(&["cluster", "token", "--json"]).await?;
        let answer: Value = serde_json::from_str(&answer)?;
        let token = answer["token"].as_str();
        Ok(token
            .with_context(|| format!("no token in {answer}"))?
            .to_owned())
    }

    /// A node that runs.
    fn any(&self) -> anyhow::Result<&Member> {
        let mut running = self.members.iter().filter(|m| m.runs() && !m.removed);
        running.next().context("no node runs")
    }

    fn member(&self, roles: Roles) -> anyhow::Result<Member> {
        let place = if self.hosts.is_empty() {
            Place::Loopback(Ports::take()?)
        } else {
            let host = self.hosts.get(self.members.len());
            Place::Host(host.context("no host is left")?.clone())
        };
        let dir = place.dir(self.dir.path());
        std::fs::create_dir_all(&dir)?;
        // A witness needs none of them, least of all an object store.
        let shared = if roles == Roles::Witness {
            ""
        } else {
            &self.settings
        };
        let text = place.settings(&dir, roles, shared, self.connections_per_address)?;
        std::fs::write(dir.join("postrider.toml"), text)?;
        let mut process = Process::new(&self.binary, &dir, &[]);
        if let Place::Host(host) = &place {
            process = process.on(host);
        }
        Ok(Member {
            process,
            id: 0,
            roles,
            removed: false,
            configured: place.addresses()?,
            place,
        })
    }

    /// A node by its place, in the order of joining.
    pub fn node(&self, place: usize) -> &Member {
        &self.members[place]
    }

    /// The same, to do something to it.
    pub fn node_mut(&mut self, place: usize) -> &mut Member {
        &mut self.members[place]
    }

    /// The nodes that were not removed, with their places.
    pub fn nodes(&self) -> impl Iterator<Item = (usize, &Member)> {
        self.members.iter().enumerate().filter(|(_, m)| !m.removed)
    }

    /// The certificate of the cluster's authority (PEM).
    pub fn authority(&self) -> anyhow::Result<Vec<u8>> {
        let file = self.node(0).dir().join("data/cluster/ca.pem");
        std::fs::read(&file).with_context(|| format!("reading {}", file.display()))
    }

    /// The folder of all nodes' folders; with bodies in a folder it is `bodies` here.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Notes the number that a node has taken anew.
    pub fn renumber(&mut self, place: usize) -> anyhow::Result<()> {
        self.members[place].id = own_id(&self.members[place])?;
        Ok(())
    }

    /// Runs `postrider cluster rejoin` on a node that does not run; what it printed.
    pub async fn rejoin(&mut self, place: usize) -> anyhow::Result<String> {
        let printed = configured(&self.members[place], &["rejoin"], &[]).await?;
        self.renumber(place)?;
        Ok(printed)
    }

    /// Takes a node out of the cluster by another; its process is left alone.
    pub async fn remove(&mut self, place: usize) -> anyhow::Result<()> {
        self.members[place].removed = true;
        let id = self.members[place].id.to_string();
        self.any()?.cli(&["cluster", "remove", &id]).await?;
        Ok(())
    }

    /// Checks that the copies are equal and consistent, and stops all nodes.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        self.same_state().await?;
        self.any()?.cli(&["check"]).await?;
        let running = self.members.iter_mut().filter(|m| m.runs() && !m.removed);
        let stops = running.map(|member| member.process.stop());
        futures::future::try_join_all(stops).await?;
        Ok(())
    }
}
