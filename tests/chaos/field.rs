//! A cluster on separate hosts, with all that stands around it, to which things are
//! done and undone.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use postrider_tests::{Act, Addresses, Cluster, Peer, Plan, Roles};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use crate::bucket::{Mood, Way};
use crate::disk::Disk;
use crate::faults::{Blow, Fault, Victim};
use crate::host::{host, identity};
use crate::network::{self, BALANCER, OURS, STORE};
use crate::servers;

/// Between looks at nodes that may have ended.
const LOOK: Duration = Duration::from_secs(1);
/// Where the outside mail server listens.
const OUTSIDE: u16 = 2525;
/// What all nodes are told: small, so that faults also hit snapshots and the
/// purging of the log; mail for outside goes to our server.
const SETTINGS: &str = "\
[meta]
segment_bytes = \"1MiB\"
snapshot_bytes = \"4MiB\"
[backup]
retention = \"1h\"
[queue]
retry = [\"1s\"]
longest_rest = \"1s\"
[queue.tls_reports]
enabled = false
[[queue.route]]
domain = \"*\"
host = \"10.77.0.1:2525\"
tls = \"off\"
";

/// What is left on a disk that is nearly full: half of `meta.disk_reserve`.
const LITTLE: u64 = 128 << 20;

/// Everything that runs.
pub(crate) struct Field {
    pub(crate) cluster: Cluster,
    pub(crate) outside: Peer,
    pub(crate) dir: PathBuf,
    authority: Arc<[u8]>,
    ways: Vec<Way>,
    disks: Vec<Disk>,
    /// Those who hold packets back.
    holders: Vec<Child>,
    pub(crate) store: Child,
    _balancer: Child,
    /// SeaweedFS.
    pub(crate) weed: String,
    /// The nodes' clocks can jump.
    clocks: bool,
    /// Whose disks were full in this round.
    full: BTreeSet<usize>,
    /// Nodes that were started and are perhaps not ready.
    started: BTreeSet<usize>,
    /// What nodes did that nobody asked them for, with a reason.
    pub(crate) notes: Vec<String>,
    /// The same without one.
    pub(crate) wrongs: Vec<String>,
}

/// Programs that stand around.
pub(crate) struct Programs {
    /// Postrider.
    pub(crate) postrider: String,
    /// SeaweedFS.
    pub(crate) weed: String,
    /// `clock.c`, built, where clocks can jump.
    pub(crate) clock: Option<String>,
}

impl Field {
    /// Starts everything in `dir`.
    pub(crate) async fn start(
        nodes: usize,
        programs: &Programs,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        network::set_up(nodes).await?;
        let store = servers::store(&programs.weed, &dir.join("store"), false).await?;
        let balancer = servers::balancer(nodes, &dir.join("balancer")).await?;
        let outside = Peer::listening(
            (OURS, OUTSIDE).into(),
            "PIPELINING\n8BITMIME\nSIZE 10000000",
            |_, _, _| Act::Accept,
        )
        .await?;
        let (certificate, key) = identity(dir)?;
        let authority: Arc<[u8]> = certificate.into();
        let (mut ways, mut disks, mut hosts) = (Vec::new(), Vec::new(), Vec::new());
        for place in 0..nodes {
            let from = SocketAddr::from((OURS, network::bucket_port(place)));
            ways.push(Way::open(from, (STORE, servers::S3).into()).await?);
            let folder = dir.join(network::namespace(place));
            fs::create_dir_all(&folder)?;
            let (image, data) = (folder.join("disk"), folder.join("data"));
            disks.push(Disk::mount(&image, &data, &network::namespace(place)).await?);
            hosts.push(host(place, programs, folder, Arc::clone(&authority))?);
        }
        let tls = format!(
            "[tls]\ncertificate = \"{0}/cert.pem\"\nkey = \"{key}\"\n",
            dir.display()
        );
        let plan = Plan {
            roles: &vec![Roles::Both; nodes],
            settings: &format!("{SETTINGS}{tls}"),
            hosts: &hosts,
            ..Plan::default()
        };
        let field = Self {
            cluster: Cluster::start(&programs.postrider, plan).await?,
            outside,
            dir: dir.to_owned(),
            authority,
            ways,
            disks,
            holders: Vec::new(),
            store,
            _balancer: balancer,
            weed: programs.weed.clone(),
            clocks: programs.clock.is_some(),
            full: BTreeSet::new(),
            started: BTreeSet::new(),
            notes: Vec::new(),
            wrongs: Vec::new(),
        };
        field.until_safe().await?;
        Ok(field)
    }

    /// Where clients connect: HAProxy, then each node.
    pub(crate) fn places(&self) -> Vec<Addresses> {
        let nodes = self.cluster.nodes();
        let nodes = nodes.map(|(_, node)| node.configured().clone());
        let mut places: Vec<Addresses> = nodes.collect();
        let mut balancer = places[0].clone();
        for address in [
            &mut balancer.smtp,
            &mut balancer.lmtp,
            &mut balancer.imaps,
            &mut balancer.pop3,
        ] {
            address.set_ip(IpAddr::V4(BALANCER));
        }
        balancer.authority = Some(Arc::clone(&self.authority));
        places.insert(0, balancer);
        places
    }

    /// Who leads, as far as a node tells that answers at once.
    pub(crate) async fn leader(&self) -> anyhow::Result<usize> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            for (_, member) in self.cluster.nodes().filter(|(_, node)| node.runs()) {
                let asked = timeout(Duration::from_secs(1), member.cluster()).await;
                let Ok(Ok(view)) = asked else {
                    continue;
                };
                let led = |node: &postrider_tests::Member| {
                    node.runs() && view["leader"].as_u64() == Some(node.id())
                };
                if let Some((place, _)) = self.cluster.nodes().find(|(_, node)| led(node)) {
                    return Ok(place);
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!("nobody leads")
    }

    pub(crate) fn count(&self) -> usize {
        self.ways.len()
    }

    /// Which node a blow hits, where `leader` leads.
    pub(crate) fn place(&self, blow: &Blow, leader: usize) -> usize {
        match blow.victim {
            Victim::Leader => leader,
            Victim::Other(number) => {
                let others = self.count() - 1;
                (leader + 1 + number % others) % self.count()
            }
        }
    }

    /// Does it to the node at `place`.
    pub(crate) async fn strike(&mut self, fault: Fault, place: usize) -> anyhow::Result<()> {
        let others: Vec<usize> = (0..self.count()).filter(|n| *n != place).collect();
        match fault {
            Fault::Kill => self.kill(place).await?,
            Fault::KillAll => {
                for place in 0..self.count() {
                    self.kill(place).await?;
                }
            }
            Fault::Pause => {
                if self.lives(place)? {
                    self.cluster.node(place).pause().await?;
                }
            }
            Fault::Isolate => network::isolate(place).await?,
            Fault::CutOff => {
                for other in others {
                    network::deafen(place, network::node(other)).await?;
                    network::mute(place, network::node(other)).await?;
                }
            }
            Fault::Deaf => {
                for other in others {
                    network::deafen(place, network::node(other)).await?;
                }
            }
            Fault::Mute => {
                for other in others {
                    network::mute(place, network::node(other)).await?;
                }
            }
            Fault::Pair => {
                let other = network::node(others[0]);
                network::deafen(place, other).await?;
                network::mute(place, other).await?;
            }
            Fault::NoBucket => network::cut_bucket(place).await?,
            Fault::Delay(time) => self.holders.push(network::delay(place, time).await?),
            Fault::Loss(percent) => network::lose(place, percent).await?,
            Fault::SlowDisk(writes) => {
                if let Some(pid) = self.cluster.node(place).pid() {
                    self.disks[place].slow(pid, writes)?;
                }
            }
            Fault::LowDisk => self.disks[place].fill(LITTLE).await?,
            Fault::FullDisk => {
                self.full.insert(place);
                self.disks[place].fill(0).await?;
            }
            Fault::Clock(seconds) => self.set_clock(place, seconds)?,
            Fault::Bucket(mood) => self.ways.iter().for_each(|way| way.set(mood)),
        }
        Ok(())
    }

    async fn kill(&mut self, place: usize) -> anyhow::Result<()> {
        if self.lives(place)? {
            self.cluster.node_mut(place).kill().await?;
        }
        Ok(())
    }

    /// Whether the node runs. One that has ended by itself is noted and started again,
    /// as a service manager does it.
    fn lives(&mut self, place: usize) -> anyhow::Result<bool> {
        let node = self.cluster.node_mut(place);
        if let Some(status) = node.has_ended()? {
            let last = node.log_end(1);
            let note = format!("node {} ended by itself, {status}: {last:.500}", place + 1);
            node.spawn()?;
            self.started.insert(place);
            match self.full.contains(&place) {
                true => self.notes.push(format!("with its disk full {note}")),
                false => self.wrongs.push(note),
            }
        }
        Ok(self.cluster.node(place).runs())
    }

    /// Waits while things are wrong.
    pub(crate) async fn endure(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            sleep(LOOK.min(until - Instant::now())).await;
            for place in 0..self.count() {
                self.lives(place)?;
            }
        }
        Ok(())
    }

    /// Whether the nodes' clocks can jump.
    pub(crate) fn has_clocks(&self) -> bool {
        self.clocks
    }

    pub(crate) fn set_clock(&self, place: usize, seconds: i32) -> anyhow::Result<()> {
        let name = self.dir.join(network::namespace(place)).join("clock");
        // In place: the process has the file mapped.
        let mut file = fs::File::options().write(true).open(name)?;
        file.write_all(&i64::from(seconds).to_ne_bytes())?;
        Ok(())
    }

    /// Undoes everything, starts what was killed, and waits until all nodes are
    /// whole.
    pub(crate) async fn mend(&mut self, paused: &[usize]) -> anyhow::Result<()> {
        self.ways.iter().for_each(|way| way.set(Mood::Well));
        for mut holder in self.holders.drain(..) {
            holder.kill().await?;
        }
        for place in 0..self.count() {
            network::heal(place).await?;
            self.disks[place].free().await?;
            self.disks[place].quick()?;
            self.set_clock(place, 0)?;
        }
        for place in paused {
            if self.lives(*place)? {
                self.cluster.node(*place).proceed().await?;
            }
        }
        for place in 0..self.count() {
            if !self.lives(place)? {
                self.begin(place)?;
            }
        }
        self.until_whole().await?;
        self.full.clear();
        Ok(())
    }

    /// Starts a node.
    pub(crate) fn begin(&mut self, place: usize) -> anyhow::Result<()> {
        self.cluster.node_mut(place).spawn()?;
        self.started.insert(place);
        Ok(())
    }

    /// Waits until all that was started is ready and the cluster is as it should be.
    pub(crate) async fn until_whole(&mut self) -> anyhow::Result<()> {
        while let Some(place) = self.started.pop_first() {
            let ready = self.cluster.node_mut(place).await_ready().await;
            ready.with_context(|| format!("node {} does not come back", place + 1))?;
        }
        self.cluster.until_settled().await?;
        self.until_safe().await
    }

    /// How many objects of the third vote the nodes write in so much time.
    pub(crate) async fn votes_within(&self, time: Duration) -> u64 {
        let votes = || self.ways.iter().map(Way::votes).sum::<u64>();
        let before = votes();
        sleep(time).await;
        votes() - before
    }

    /// Waits until any one of the voters may fail: of two nodes the bucket is one.
    async fn until_safe(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (safe, status) = self.cluster.status().await?;
            if safe {
                return Ok(());
            }
            let verdict = &status["verdict"];
            ensure!(
                Instant::now() < deadline,
                "the cluster stays unsafe: {verdict}"
            );
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Stops everything and takes the disks away.
    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        self.cluster.finish().await?;
        for disk in self.disks {
            disk.unmount().await?;
        }
        Ok(())
    }
}
