//! Separate hosts on one machine: network namespaces on a bridge, and what can go
//! wrong between them.
//!
//! The program itself runs in a network of its own (see `run`) and has the address
//! [`OURS`] on the bridge. Each host has two chains of iptables, one per direction,
//! which are empty while nothing is wrong.

use std::net::Ipv4Addr;

use anyhow::{Context as _, ensure};
use tokio::process::{Child, Command};

/// Where the clients, the outside mail server and the way to the bucket are.
pub(crate) const OURS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The S3 server.
pub(crate) const STORE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// HAProxy.
pub(crate) const BALANCER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 3);
/// All of them and the nodes.
pub(crate) const ALL: &str = "10.77.0.0/24";

/// The address of a node by its place.
pub(crate) fn node(place: usize) -> Ipv4Addr {
    let last = u8::try_from(11 + place).expect("there are few nodes");
    Ipv4Addr::new(10, 77, 0, last)
}

/// The namespace of a node by its place.
pub(crate) fn namespace(place: usize) -> String {
    format!("node{}", place + 1)
}

/// The port by which a node reaches the bucket.
pub(crate) fn bucket_port(place: usize) -> u16 {
    9001 + u16::try_from(place).expect("there are few nodes")
}

/// Runs a program that must succeed.
pub(crate) async fn run(line: &str) -> anyhow::Result<()> {
    let mut words = line.split_whitespace();
    let program = words.next().context("no program")?;
    let output = Command::new(program).args(words).output().await?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line}: {why}");
    Ok(())
}

/// Sets up the bridge and a host for each node, the S3 server and HAProxy.
pub(crate) async fn set_up(nodes: usize) -> anyhow::Result<()> {
    run("ip link set lo up").await?;
    run("ip link add bridge type bridge").await?;
    run(&format!("ip address add {OURS}/24 dev bridge")).await?;
    run("ip link set bridge up").await?;
    host("store", STORE).await?;
    host("balancer", BALANCER).await?;
    for place in 0..nodes {
        host(&namespace(place), node(place)).await?;
    }
    Ok(())
}

async fn host(name: &str, address: Ipv4Addr) -> anyhow::Result<()> {
    run(&format!("ip netns add {name}")).await?;
    run(&format!(
        "ip link add to-{name} type veth peer name eth0 netns {name}"
    ))
    .await?;
    run(&format!("ip link set to-{name} master bridge up")).await?;
    run(&format!("ip -n {name} address add {address}/24 dev eth0")).await?;
    run(&format!("ip -n {name} link set lo up")).await?;
    run(&format!("ip -n {name} link set eth0 up")).await?;
    for (chain, hook) in [("COMING", "INPUT"), ("GOING", "OUTPUT")] {
        rule(name, &format!("-N {chain}")).await?;
        rule(name, &format!("-A {hook} -j {chain}")).await?;
    }
    Ok(())
}

async fn rule(namespace: &str, rule: &str) -> anyhow::Result<()> {
    run(&format!(
        "ip netns exec {namespace} iptables-legacy -w {rule}"
    ))
    .await
}

/// `place` hears nothing from `other`.
pub(crate) async fn deafen(place: usize, other: Ipv4Addr) -> anyhow::Result<()> {
    rule(&namespace(place), &format!("-A COMING -s {other} -j DROP")).await
}

/// Nothing from `place` comes to `other`.
pub(crate) async fn mute(place: usize, other: Ipv4Addr) -> anyhow::Result<()> {
    rule(&namespace(place), &format!("-A GOING -d {other} -j DROP")).await
}

/// `place` reaches nobody and is reached by nobody.
pub(crate) async fn isolate(place: usize) -> anyhow::Result<()> {
    rule(&namespace(place), &format!("-A COMING -s {ALL} -j DROP")).await?;
    rule(&namespace(place), &format!("-A GOING -d {ALL} -j DROP")).await
}

/// Nothing from `place` comes to the bucket.
pub(crate) async fn cut_bucket(place: usize) -> anyhow::Result<()> {
    let port = bucket_port(place);
    let what = format!("-A GOING -p tcp -d {OURS} --dport {port} -j DROP");
    rule(&namespace(place), &what).await
}

/// Loses this share of what comes to `place`.
pub(crate) async fn lose(place: usize, percent: u32) -> anyhow::Result<()> {
    let what = format!(
        "-A COMING -s {ALL} -m statistic --mode random --probability 0.{percent:02} -j DROP"
    );
    rule(&namespace(place), &what).await
}

/// Holds each packet from `place` for a while, as long as the child lives.
pub(crate) async fn delay(place: usize, milliseconds: u32) -> anyhow::Result<Child> {
    let holder = Command::new("ip")
        .args(["netns", "exec", &namespace(place)])
        .arg(std::env::current_exe()?)
        .args(["hold-packets", &milliseconds.to_string()])
        .kill_on_drop(true)
        .spawn()?;
    // Without a holder packets pass.
    let what = format!("-A GOING -d {ALL} -j NFQUEUE --queue-num 1 --queue-bypass");
    rule(&namespace(place), &what).await?;
    Ok(holder)
}

/// Nothing is wrong any more between `place` and others.
pub(crate) async fn heal(place: usize) -> anyhow::Result<()> {
    for chain in ["COMING", "GOING"] {
        rule(&namespace(place), &format!("-F {chain}")).await?;
    }
    Ok(())
}
