//! `postrider recover`: makes this node the first of a new cluster that has what the
//! bucket holds of an old one, up to a moment.
//!
//! Changes nothing of what it reads but for one thing: at the end the bucket belongs
//! to the new cluster (`store/id`), so that the old one, should any of it ever come
//! back, neither starts nor removes anything. Refuses where the old one is seen alive.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::TryStreamExt;
use postrider_blob::{Listed, Store};
use postrider_body::{Bodies, Verifier};
use postrider_meta::{Authority, Client, ReadAt, command, query};
use postrider_meta_raft::{Archive, Lineage, Node, Plan, Restored, Step};
use postrider_rpc::{Channels, KeyRequest, Timeouts};
use postrider_types::{Clock as _, CommandId, Millis, NodeId, Random as _, Role, SystemClock};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::identity::{self, Facts, Identity};
use super::{init, token};
use crate::dir;
use crate::moment::Moment;
use crate::random::ThreadRandom;
use crate::settings::{Cluster, Settings};

/// The folder of what nodes write to see whether the store answers.
const PROBES: &str = "probe";
/// What a node that lives writes there, three times a minute.
const HEALTH: &str = "probe/health";
/// What is written here to learn the store's time.
const LOOK: &str = "probe/recover";
/// Without a sign for this long nobody lives.
const SILENCE: Duration = Duration::from_secs(60);
/// A sign that is younger than that is watched for so long.
const WATCH: Duration = Duration::from_secs(30);
/// Nodes that the first token is for.
const USES: u32 = 2;

/// What is to be recovered.
pub(crate) struct Recover {
    pub(crate) settings: Settings,
    /// The id of the cluster, where the bucket holds several.
    pub(crate) cluster: Option<String>,
    /// Nothing that is younger.
    pub(crate) at: Option<Millis>,
    /// Stop before what is damaged, instead of refusing.
    pub(crate) partial: bool,
    /// Do not look whether the old cluster lives.
    pub(crate) force: bool,
}

/// What was recovered.
#[derive(Debug, Serialize)]
pub(crate) struct Recovered {
    /// The new cluster's id.
    pub(crate) cluster: String,
    /// The id of the cluster that it was.
    pub(crate) from: String,
    /// This node's id.
    pub(crate) node: u64,
    /// HOST:PORT at which others will reach it.
    pub(crate) address: String,
    /// The first join token.
    pub(crate) token: String,
    /// The moment of the last change that it holds.
    pub(crate) up_to: Moment,
    /// The last entry of the old log that it holds.
    pub(crate) entry: u64,
    /// Why it ends before what was asked for.
    pub(crate) short: Option<String>,
    /// Snapshots that cannot be used and were done without, in words.
    pub(crate) damaged: Vec<String>,
    pub(crate) accounts: u64,
    pub(crate) messages: u64,
    /// Objects with bodies that are missing or have another length, in words.
    pub(crate) missing: Vec<String>,
}

/// Recovers. `progress` is told in words what is being done.
pub(crate) async fn recover(
    request: Recover,
    progress: &(dyn Fn(String) + Send + Sync),
) -> anyhow::Result<Recovered> {
    let settings = &request.settings;
    let Some(cluster) = &settings.cluster else {
        bail!(
            "no address is known at which other nodes will reach this one: name it with --address \
             HOST:PORT, or in the settings:\n  [cluster]\n  address = \"mail1.example.org:7425\""
        );
    };
    if !settings.has(Role::Meta) {
        bail!("the first node of a cluster holds its metadata: add \"meta\" to roles");
    }
    let _lock = dir::lock(&settings.data_dir)?;
    refuse_used(settings)?;
    let blobs = Store::open(&settings.blob)?;
    let lineages = Archive::lineages(&blobs).await;
    let lineages = lineages.context("cannot list what the bucket holds")?;
    let from = choose(lineages, request.cluster.as_deref())?;
    if !request.force {
        progress("looking whether the old cluster lives".into());
        refuse_alive(&blobs).await?;
    }
    dir::make_private(&settings.metadata().dir)?;
    let random = ThreadRandom;
    let fresh = || {
        let mut id = [0; 16];
        random.fill(&mut id);
        format!("{:032x}", u128::from_be_bytes(id))
    };
    let id = fresh();
    let authority = postrider_rpc::Authority::new(&id)?;
    let now = SystemClock.now();
    let plan = Plan {
        at: request.at,
        partial: request.partial,
        found: command::RefoundCluster {
            id: id.clone(),
            authority: Authority {
                certificate: authority.certificate().to_owned(),
                key: authority.key(),
            },
            node: init::new_node(cluster, settings),
            store: fresh(),
        },
        now,
        id: CommandId::new(now, &random),
    };
    let archive = Archive::new(blobs.clone(), &from.cluster);
    let begun = async {
        let tell = |step| progress(words(step));
        let metadata = settings.metadata();
        let restored = postrider_meta_raft::restore(&metadata, &archive, plan, &tell).await?;
        let begun = Begun {
            settings,
            cluster,
            id,
            from: from.cluster.clone(),
            authority,
            restored,
        };
        begun.run(blobs, progress).await
    };
    match begun.await {
        Ok(recovered) => Ok(recovered),
        Err(error) => {
            // Made here a moment ago: the command can be run again.
            let _ = std::fs::remove_dir_all(settings.metadata().dir);
            Err(error)
        }
    }
}

/// A recovery whose metadata are there.
struct Begun<'a> {
    settings: &'a Settings,
    cluster: &'a Cluster,
    id: String,
    from: String,
    authority: postrider_rpc::Authority,
    restored: Restored,
}

impl Begun<'_> {
    /// Runs the metadata without listeners, and writes the identity last.
    async fn run(
        self,
        blobs: Arc<Store>,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> anyhow::Result<Recovered> {
        let data_dir = self.settings.data_dir.clone();
        let mut metadata = self.settings.metadata();
        metadata.node_id = self.restored.node;
        metadata.address = self.cluster.address.clone();
        metadata.bootstrap = false;
        let channels = Channels::new(postrider_rpc::Tls::Off, Timeouts::default());
        let raft = Node::start(metadata, Arc::new(SystemClock), channels, None)
            .await
            .context("cannot open the restored metadata")?;
        let recovered = self.finish(&raft, blobs, progress).await;
        let closed = raft.shutdown().await;
        let (identity, recovered) = recovered?;
        closed.context("the restored metadata did not close well")?;
        identity.write(&data_dir)?;
        Ok(recovered)
    }

    async fn finish(
        self,
        raft: &Arc<Node>,
        blobs: Arc<Store>,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> anyhow::Result<(Identity, Recovered)> {
        let meta = Client::new(raft.clone(), Arc::new(SystemClock), Arc::new(ThreadRandom));
        init::available(&meta).await?;
        progress("looking for the bodies".into());
        let bodies = Bodies::new(meta.clone(), blobs, self.settings.body.clone());
        let missing = missing(&bodies).await?;
        let (accounts, messages) = count(&meta).await?;
        let address = self.cluster.address.clone();
        let node = NodeId(self.restored.node);
        let token = token::issue(
            &meta,
            &self.authority,
            super::TOKEN_AGE,
            USES,
            vec![address.clone()],
        );
        let token = token.await?;
        let request = KeyRequest::new()?;
        let names = super::names(&self.cluster.name(), &address);
        let certificate = self
            .authority
            .issue(&request.signing_request, node.0, &names)?;
        identity::folder(&self.settings.data_dir)?;
        let identity = Identity {
            facts: Facts {
                cluster: self.id.clone(),
                node,
                address: address.clone(),
                roles: self.settings.roles.clone(),
                members: vec![address.clone()],
                begun: true,
            },
            authority: self.authority.certificate().to_owned(),
            certificate,
            key: request.key,
        };
        // From here on the bucket is no other's.
        bodies
            .take_store()
            .await
            .context("cannot make the bucket the new cluster's")?;
        let recovered = Recovered {
            cluster: self.id,
            from: self.from,
            node: node.0,
            address,
            token,
            up_to: Moment(self.restored.time),
            entry: self.restored.entry,
            short: self.restored.short,
            damaged: self.restored.damaged,
            accounts,
            messages,
            missing,
        };
        Ok((identity, recovered))
    }
}

fn words(step: Step) -> String {
    match step {
        Step::Snapshot(bytes) => {
            let size = postrider_types::human::format_size(bytes);
            format!("loading a snapshot of {size}")
        }
        Step::Log(done, all) => format!("applied {done} of {all} pieces of the log"),
    }
}

/// Refuses a folder in which something is.
fn refuse_used(settings: &Settings) -> anyhow::Result<()> {
    let metadata = settings.metadata().dir;
    let used = Identity::load(&settings.data_dir)?.is_some() || metadata.exists();
    if used {
        bail!(
            "{} holds a node already, or what an interrupted recovery left: name an empty folder, \
             or empty this one if nothing in it is needed",
            settings.data_dir.display()
        );
    }
    Ok(())
}

/// The archive to recover from.
fn choose(lineages: Vec<Lineage>, wanted: Option<&str>) -> anyhow::Result<Lineage> {
    let mut of_use: Vec<Lineage> = lineages.into_iter().filter(Lineage::is_of_use).collect();
    let named = |lineage: &Lineage| {
        let moment = |at: Option<Millis>| at.map_or_else(String::new, |at| Moment(at).to_string());
        let (oldest, newest) = (moment(lineage.oldest()), moment(lineage.newest()));
        format!("  {}: from {oldest} to {newest} (UTC)", lineage.cluster)
    };
    let list: Vec<String> = of_use.iter().map(named).collect();
    let list = list.join("\n");
    match (wanted, of_use.len()) {
        (_, 0) => bail!(
            "the bucket holds no snapshot of a cluster: is it the right one, and its prefix? Nodes \
             that stand alone archive nothing"
        ),
        (None, 1) => Ok(of_use.remove(0)),
        (None, _) => bail!(
            "the bucket holds what several clusters archived, one recovered from another: choose \
             with --cluster ID\n{list}"
        ),
        (Some(wanted), _) => {
            let found = of_use.iter().position(|lineage| lineage.cluster == wanted);
            match found {
                Some(place) => Ok(of_use.remove(place)),
                None => bail!("the bucket holds no cluster {wanted}; there are\n{list}"),
            }
        }
    }
}

/// Refuses where a node of the old cluster lives: each writes to the bucket now and
/// then. By the store's clock alone, and by change.
async fn refuse_alive(blobs: &Store) -> anyhow::Result<()> {
    blobs.put(LOOK, vec!["looks\n".into()]).await?;
    let now = sign(blobs, LOOK).await?;
    let Some(last) = sign(blobs, HEALTH).await? else {
        return Ok(());
    };
    if now.is_some_and(|now| now.since(last) >= SILENCE) {
        return Ok(());
    }
    let end = Instant::now() + WATCH;
    while Instant::now() < end {
        sleep(Duration::from_secs(1)).await;
        if sign(blobs, HEALTH).await? != Some(last) {
            bail!(
                "a node of the old cluster lives and writes to this bucket. Two clusters must \
                 not share one: stop all nodes of the old one first, or join it instead \
                 (`postrider cluster join`)"
            );
        }
    }
    Ok(())
}

/// When an object was written, by the store's clock.
async fn sign(blobs: &Store, key: &str) -> anyhow::Result<Option<Millis>> {
    let mut listed = blobs.list(PROBES);
    while let Some(Listed {
        key: found,
        modified,
        ..
    }) = listed.try_next().await?
    {
        if found == key {
            return Ok(Some(modified));
        }
    }
    Ok(None)
}

/// Objects with bodies that are not as they should be.
async fn missing(bodies: &Bodies) -> anyhow::Result<Vec<String>> {
    let verifier = Verifier::new(bodies, None);
    let mut missing = Vec::new();
    let mut after = None;
    loop {
        let step = verifier.objects(after).await?;
        missing.extend(step.problems);
        after = step.next;
        if after.is_none() {
            return Ok(missing);
        }
    }
}

/// How many accounts and messages there are.
async fn count(meta: &Client) -> anyhow::Result<(u64, u64)> {
    let (mut accounts, mut messages) = (0, 0);
    let mut after = None;
    loop {
        let query = query::Accounts {
            domain: None,
            after,
            limit: 1000,
        };
        let (page, _) = meta.ask(query, ReadAt::Latest).await?;
        accounts += page.items.len() as u64;
        let counted = page.items.iter().map(|account| account.quota.messages);
        messages += counted.sum::<u64>();
        after = page.next;
        if after.is_none() {
            return Ok((accounts, messages));
        }
    }
}
