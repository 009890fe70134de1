//! Chaos: a cluster on separate hosts under load while everything goes wrong that
//! can, by a seed; afterwards all that clients were told must hold.
//!
//! `tests/chaos/run` starts it in namespaces of its own and is what a person calls:
//!
//! ```text
//! chaos play --nodes 3 --seed 1 --seconds 600 --dir DIR [--weed FILE] [--clock FILE] [--only WORDS]
//! ```
//!
//! The program is also the node and the holder of packets.

#![allow(clippy::print_stdout, reason = "it prints what it saw")]

mod age;
mod bucket;
mod disk;
mod faults;
mod field;
mod fleet;
mod hold;
mod host;
mod network;
mod oracle;
mod report;
mod servers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep};

use faults::{Deck, Fault, Means, Round, Victim};
use field::{Field, Programs};
use fleet::Fleet;
use report::Report;

/// Acknowledged operations of each kind between two rounds of faults.
const STEPS: u64 = 3;
/// How long writes of the third vote are counted while nobody does anything, and while
/// clients work and nothing is wrong.
const IDLE: Duration = Duration::from_secs(20);
const BUSY: Duration = Duration::from_secs(10);
/// After the start, before that is counted.
const SETTLING: Duration = Duration::from_secs(5);
/// After so long the clients land and everything is compared.
const EPISODE: Duration = Duration::from_secs(240);

/// What was asked for.
struct Asked {
    nodes: usize,
    seed: u64,
    time: Duration,
    /// Faults whose names have one of these words; none: all.
    only: Vec<String>,
    dir: PathBuf,
    programs: Programs,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["play", ref options @ ..] => {
            let asked = Asked::read(options)?;
            let runtime = tokio::runtime::Runtime::new()?;
            let report = runtime.block_on(play(&asked))?;
            println!("\n{report}");
            Ok(if report.wrongs.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        ["hold-packets", milliseconds] => {
            hold::packets(Duration::from_millis(milliseconds.parse()?))?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Ok(postrider_node::cli::main()),
    }
}

impl Asked {
    fn read(options: &[&str]) -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let mut asked = Self {
            nodes: 3,
            seed: 1,
            time: Duration::from_secs(60),
            only: Vec::new(),
            dir: PathBuf::new(),
            programs: Programs {
                postrider: own.to_string_lossy().into_owned(),
                weed: "weed".to_owned(),
                clock: None,
            },
        };
        let (pairs, rest) = options.as_chunks::<2>();
        ensure!(rest.is_empty(), "{rest:?} has no value");
        for [option, value] in pairs {
            match *option {
                "--nodes" => asked.nodes = value.parse()?,
                "--seed" => asked.seed = value.parse()?,
                "--seconds" => asked.time = Duration::from_secs(value.parse()?),
                "--only" => asked.only = value.split(',').map(str::to_owned).collect(),
                "--dir" => asked.dir = value.into(),
                "--postrider" => asked.programs.postrider = (*value).to_owned(),
                "--weed" => asked.programs.weed = (*value).to_owned(),
                "--clock" => asked.programs.clock = Some((*value).to_owned()),
                other => bail!("no option {other}"),
            }
        }
        ensure!(asked.dir.is_dir(), "--dir names a folder");
        ensure!(asked.nodes >= 2, "--nodes takes at least 2");
        Ok(asked)
    }
}

/// Episode after episode until the time is over.
async fn play(asked: &Asked) -> anyhow::Result<Report> {
    let began = Instant::now();
    let mut report = Report {
        nodes: asked.nodes,
        seed: asked.seed,
        ..Report::default()
    };
    let means = Means::of(asked.programs.clock.is_some());
    println!("{means:?}");
    let mut field = Field::start(asked.nodes, &asked.programs, &asked.dir).await?;
    println!("{:6.1}: the cluster runs", began.elapsed().as_secs_f64());
    if asked.nodes == 2 {
        sleep(SETTLING).await;
        report.idle_votes = Some((field.votes_within(IDLE).await, IDLE));
    }
    let mut deck = Deck::new(StdRng::seed_from_u64(asked.seed), means, &asked.only);
    let mut fleets = Vec::new();
    while began.elapsed() < asked.time {
        let until = Instant::now() + EPISODE.min(asked.time.saturating_sub(began.elapsed()));
        let places = field.places();
        let (fleet, crew) = Fleet::launch(&field.cluster, places, fleets.len() + 1).await?;
        fleet.progress(STEPS).await?;
        if asked.nodes == 2 && fleets.is_empty() {
            report.busy_votes = Some((field.votes_within(BUSY).await, BUSY));
        }
        let mut failed = None;
        while Instant::now() < until && failed.is_none() {
            let round = deck.deal();
            let played = play_round(&mut field, &fleet, &round, &mut report, began).await;
            failed = played.err();
        }
        // What is not served again is compared all the same.
        report
            .wrongs
            .extend(failed.map(|error| format!("{error:#}")));
        let landed = fleet.land(crew).await;
        report
            .wrongs
            .extend(landed.err().map(|error| format!("{error:#}")));
        report.add(fleet.pace.journal().counts());
        let (wrongs, twice) = oracle::ask(&field.cluster, &fleet, &field.outside).await;
        println!(
            "{:6.1}: {}; {}; {}; {}; {} contradictions",
            began.elapsed().as_secs_f64(),
            fleet.delivered,
            fleet.carried,
            fleet.drained,
            fleet.outward,
            wrongs.len()
        );
        report.wrongs.extend(wrongs);
        report.wrongs.append(&mut field.wrongs);
        report.sent_twice += twice;
        fleets.push(fleet);
        if !report.wrongs.is_empty() {
            break;
        }
    }
    if let Some((_, earlier)) = fleets.split_last() {
        for fleet in earlier {
            report
                .wrongs
                .extend(oracle::again(&field.cluster, fleet).await);
        }
    }
    report.ran = began.elapsed();
    report.notes.append(&mut field.notes);
    if report.wrongs.is_empty() {
        let ended = end(field, &mut report).await;
        report
            .wrongs
            .extend(ended.err().map(|error| format!("in the end: {error:#}")));
    }
    Ok(report)
}

/// Looks whether the bucket holds what it should, now and two days later.
async fn end(field: Field, report: &mut Report) -> anyhow::Result<()> {
    report.stock.push(field.stock().await?);
    let (field, stock) = match field.has_clocks() {
        true => field.grow_old().await?,
        false => return field.finish().await,
    };
    report.stock.push(stock);
    field.finish().await
}

/// One round of faults, and everything whole again.
async fn play_round(
    field: &mut Field,
    fleet: &Fleet,
    round: &Round,
    report: &mut Report,
    began: Instant,
) -> anyhow::Result<()> {
    let leader = field.leader().await?;
    let from = Instant::now();
    let (mut names, mut kinds, mut paused, mut killed) = (vec![], vec![], vec![], None);
    for blow in &round.blows {
        sleep(blow.after).await;
        let place = field.place(blow, leader);
        let who = if place == leader {
            "leader"
        } else {
            "follower"
        };
        names.push(if blow.fault.is_of_one() {
            format!("node {}, {who}: {}", place + 1, blow.fault)
        } else {
            blow.fault.to_string()
        });
        kinds.push(match blow.fault {
            Fault::Kill => format!("{} of the {who}", blow.fault),
            fault => fault.kind(),
        });
        if blow.fault == Fault::Pause {
            paused.push(place);
        }
        let alone = round.blows.len() == 1;
        if alone && blow.fault == Fault::Kill && blow.victim == Victim::Leader {
            killed = Some(Instant::now());
        }
        let struck = field.strike(blow.fault, place).await;
        struck.with_context(|| names.join(" + "))?;
    }
    let what = names.join(" + ");
    println!("{:6.1}: {what}", began.elapsed().as_secs_f64());
    field.endure(round.holds).await?;
    let mended = async {
        field.mend(&paused).await?;
        fleet.progress(STEPS).await
    };
    let mended = mended.await;
    let journal = fleet.pace.journal();
    let outage = journal.longest_outage(from.into_std(), Instant::now().into_std());
    println!(
        "{:6.1}: whole again, {:.1} s without a write",
        began.elapsed().as_secs_f64(),
        outage.as_secs_f64()
    );
    report.round(&kinds, &what, outage);
    let failover = killed.and_then(|at| journal.first_write_after(at.into_std()));
    report.failovers.extend(failover);
    mended.with_context(|| format!("after {what}"))
}
