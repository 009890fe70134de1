//! What stands around the nodes: SeaweedFS as the bucket, HAProxy in front.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::network::{self, BALANCER, STORE};

/// The bucket and its keys.
pub(crate) const BUCKET: &str = "mail";
pub(crate) const KEY: &str = "postrider";
pub(crate) const SECRET: &str = "postrider-secret";
/// Where SeaweedFS serves S3.
pub(crate) const S3: u16 = 8333;

/// Starts SeaweedFS on its host; `weed` is its program. `open`: for everybody, so
/// that it does not mind what time it is on a node that asks.
pub(crate) async fn store(weed: &str, dir: &Path, open: bool) -> anyhow::Result<Child> {
    fs::create_dir_all(dir)?;
    let mut log = fs::File::options();
    let log = log.create(true).append(true).open(dir.join("log"))?;
    let mut command = Command::new("ip");
    if !open {
        command
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET);
    }
    let child = command
        .args(["netns", "exec", "store", weed, "mini"])
        .arg(format!("-dir={}", dir.display()))
        .args([&format!("-ip={STORE}"), &format!("-ip.bind={STORE}")])
        .arg(format!("-bucket={BUCKET}"))
        .args([
            "-master.telemetry=false",
            "-webdav=false",
            "-admin.ui=false",
        ])
        .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("starting SeaweedFS")?;
    listens((STORE, S3).into()).await?;
    Ok(child)
}

/// Ends SeaweedFS in good order.
pub(crate) async fn end(mut store: Child) -> anyhow::Result<()> {
    let pid = store.id().context("the store has ended by itself")?;
    network::run(&format!("kill {pid}")).await?;
    let ended = timeout(Duration::from_secs(60), store.wait()).await;
    ended.context("the store does not end")??;
    Ok(())
}

/// Starts HAProxy on its host, in front of so many nodes.
pub(crate) async fn balancer(nodes: usize, dir: &Path) -> anyhow::Result<Child> {
    fs::create_dir_all(dir)?;
    let file = dir.join("haproxy.cfg");
    fs::write(&file, configuration(nodes))?;
    let log = fs::File::create(dir.join("log"))?;
    let child = Command::new("ip")
        .args(["netns", "exec", "balancer", "haproxy", "-db", "-f"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("starting HAProxy")?;
    listens((BALANCER, 25).into()).await?;
    Ok(child)
}

/// As `deploy/haproxy.example.cfg` explains it.
fn configuration(nodes: usize) -> String {
    let mut text = "\
global
    log stdout format raw local0 notice
defaults
    mode tcp
    log global
    option redispatch
    option clitcpka
    option srvtcpka
    srvtcpka-idle 10s
    srvtcpka-intvl 5s
    srvtcpka-cnt 3
    retries 3
    timeout connect 2s
    timeout check 4s
    timeout client 35m
    timeout server 35m
    default-server send-proxy-v2
backend nodes
    option httpchk
    http-check send meth GET uri /healthz/ready
    http-check expect status 200
    default-server check-send-proxy inter 500ms fastinter 200ms fall 2 rise 1
"
    .to_owned();
    let each = |port: u16, more: &dyn Fn(usize) -> String| -> String {
        let line = |place| {
            let (name, address) = (network::namespace(place), network::node(place));
            format!("    server {name} {address}:{port} {}\n", more(place))
        };
        (0..nodes).map(line).collect()
    };
    text += &each(8080, &|_| "check".into());
    for (name, port) in [("smtp", 25), ("lmtp", 24), ("imaps", 993), ("pop3", 110)] {
        text += &format!("listen {name}\n    bind {BALANCER}:{port}\n    balance leastconn\n");
        text += &each(port, &|place| {
            format!("track nodes/{}", network::namespace(place))
        });
    }
    text
}

/// Waits until something listens there.
async fn listens(address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(address).await.is_err() {
        ensure!(Instant::now() < deadline, "nothing listens on {address}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
