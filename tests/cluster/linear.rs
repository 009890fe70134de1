//! Flags and UIDs are linearizable: clients of all nodes change the same messages at
//! once while leaders die, and a checker finds an order that explains all they saw.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use postrider_tests::linear::{Change, Flags, Growth, History, Look, Marks, Operation, check};
use postrider_tests::load::messages;
use postrider_tests::{Addresses, Cluster, Imap, Plan};
use rand::Rng as _;
use tokio::task::JoinSet;

use crate::{ALICE, PASSWORD, SOON, deliver, message, start, until};

/// Messages whose flags are changed.
const MESSAGES: u32 = 4;
/// The flags, one per bit.
const NAMES: [&str; 4] = ["zero", "one", "two", "three"];
/// Clients of each node that change flags, and that append.
const FLAGGERS: usize = 3;
const APPENDERS: usize = 2;
/// Answers between two faults.
const ANSWERS: usize = 150;
/// How often the leader dies.
const KILLS: usize = 3;
/// A client's rest between two steps.
const PAUSE: Duration = Duration::from_millis(10);

/// What all clients have done.
#[derive(Default)]
struct Seen {
    flags: History<u32, Change, Marks>,
    /// Appends by their number, which the message bears: the UID comes at the end.
    growth: History<(), Step, usize>,
    next: AtomicU32,
    stop: std::sync::atomic::AtomicBool,
}

/// A step on the mailbox that grows.
#[derive(Clone, Copy, Debug)]
enum Step {
    Append(u32),
    Count,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_and_uids_are_linearizable_while_leaders_die() -> anyhow::Result<()> {
    let mut turn = start(Plan::default()).await?;
    let cluster = &mut turn.cluster;
    for number in 0..MESSAGES {
        let text = message(&format!("number {number}"), "x");
        deliver(cluster.node(0).addresses(), ALICE, &text).await?;
    }
    let seen = Arc::new(Seen::default());
    let mut clients = JoinSet::new();
    for (place, member) in cluster.nodes() {
        let at = member.configured().clone();
        for _ in 0..FLAGGERS {
            clients.spawn(seen.clone().live(at.clone(), Seen::change_flags));
        }
        for _ in 0..APPENDERS {
            clients.spawn(seen.clone().live(at.clone(), Seen::grow));
        }
        ensure!(place < 3, "three nodes");
    }
    seen.progress().await?;
    for _ in 0..KILLS {
        let leader = cluster.leader().await?;
        cluster.node_mut(leader).kill().await?;
        seen.progress().await?;
        cluster.node_mut(leader).start_again().await?;
        cluster.until_settled().await?;
        seen.progress().await?;
    }
    seen.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended?;
    }
    let began = Instant::now();
    seen.check_flags()?;
    seen.check_growth(cluster).await?;
    println!("checked in {:.1?}", began.elapsed());
    turn.cluster.finish().await
}

impl Seen {
    /// Connects and works, again and again: a step that fails ends the connection.
    async fn live(
        self: Arc<Self>,
        at: Addresses,
        step: impl AsyncFn(&Self, &mut Imap) -> anyhow::Result<()>,
    ) {
        while !self.stop.load(Ordering::Relaxed) {
            let session = async {
                let mut imap = Imap::login(at.imap, ALICE, PASSWORD).await?;
                imap.run("SELECT INBOX").await?.ok()?;
                anyhow::Ok(imap)
            };
            // Its node may be down.
            if let Ok(mut imap) = session.await {
                while !self.stop.load(Ordering::Relaxed) && step(&self, &mut imap).await.is_ok() {
                    tokio::time::sleep(PAUSE).await;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn change_flags(&self, imap: &mut Imap) -> anyhow::Result<()> {
        let uid = rand::rng().random_range(1..=MESSAGES);
        let marks = rand::rng().random_range(1..16);
        let change = match rand::rng().random_range(0..6) {
            0 | 1 => Change::Add(marks),
            2 => Change::Remove(marks),
            3 => Change::Replace(marks),
            _ => Change::Look,
        };
        let work = apply(imap, uid, change);
        self.flags.record(uid, change, work).await
    }

    async fn grow(&self, imap: &mut Imap) -> anyhow::Result<()> {
        if rand::rng().random_bool(0.5) {
            let work = async {
                let status = imap.run("STATUS Archive (MESSAGES)").await?.ok()?;
                number_after(&status.untagged.join(" "), "MESSAGES ")
            };
            return self.growth.record((), Step::Count, work).await;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let text = message(&format!("number {number}"), "x");
        let work = async {
            imap.append("Archive", "", &text).await?.ok()?;
            Ok(0)
        };
        self.growth.record((), Step::Append(number), work).await
    }

    /// Waits until clients of both kinds have got more answers.
    async fn progress(&self) -> anyhow::Result<()> {
        let counts = || (self.flags.answered(), self.growth.answered());
        let before = counts();
        until("clients go on", SOON, async || {
            let now = counts();
            let enough = now.0 >= before.0 + ANSWERS && now.1 >= before.1 + ANSWERS;
            Ok(enough.then_some(()))
        })
        .await
    }

    fn check_flags(&self) -> anyhow::Result<()> {
        for (uid, operations) in self.flags.take() {
            tell(&format!("flags of UID {uid}"), &operations);
            let checked = check(&Flags, operations);
            checked.map_err(|text| anyhow::anyhow!("UID {uid}: {text}"))?;
        }
        Ok(())
    }

    async fn check_growth(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let lines = messages(cluster.node(0).addresses(), ALICE, "Archive").await?;
        let mut uids = BTreeMap::new();
        for line in &lines {
            let number = number_after(line, "Subject: number ")?;
            let uid = u32::try_from(number_after(line, "UID ")?)?;
            ensure!(uids.insert(number, uid).is_none(), "{number} twice");
        }
        let steps = self.growth.take().remove(&()).unwrap_or_default();
        tell("appends and counts", &steps);
        let operations = steps.into_iter().filter_map(|step| {
            let input = match step.input {
                Step::Count => Look::Count,
                Step::Append(number) => match uids.get(&(number as usize)) {
                    Some(uid) => Look::Append(*uid),
                    // Nobody was told of it, and it never was.
                    None if step.returned.is_none() => return None,
                    None => Look::Append(0),
                },
            };
            Some(Operation {
                called: step.called,
                returned: step.returned,
                input,
                output: step.output,
            })
        });
        let operations = operations.collect();
        let model = Growth {
            uids: uids
                .into_values()
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect(),
        };
        let checked = check(&model, operations);
        checked.map_err(|text| anyhow::anyhow!("the mailbox: {text}"))
    }
}

fn tell<I, O>(what: &str, operations: &[Operation<I, O>]) {
    let unknown = operations.iter().filter(|o| o.returned.is_none()).count();
    println!("{what}: {} operations, {unknown} unknown", operations.len());
}

/// Does it; what was seen. Only a look that begins with NOOP must see all that anybody
/// was told before.
async fn apply(imap: &mut Imap, uid: u32, change: Change) -> anyhow::Result<Marks> {
    let (verb, marks) = match change {
        Change::Add(marks) => ("+FLAGS.SILENT", marks),
        Change::Remove(marks) => ("-FLAGS.SILENT", marks),
        Change::Replace(marks) => ("FLAGS.SILENT", marks),
        Change::Look => return look(imap, uid).await,
    };
    let all = NAMES.iter().enumerate();
    let names: Vec<&str> = all
        .filter(|(bit, _)| marks & (1 << bit) != 0)
        .map(|(_, name)| *name)
        .collect();
    let store = format!("UID STORE {uid} {verb} ({})", names.join(" "));
    imap.run(&store).await?.ok()?;
    Ok(0)
}

async fn look(imap: &mut Imap, uid: u32) -> anyhow::Result<Marks> {
    imap.run("NOOP").await?.ok()?;
    let fetched = imap.run(&format!("UID FETCH {uid} FLAGS")).await?.ok()?;
    // Others may be told of beside it; what was asked for comes last.
    let label = format!("UID {uid} ");
    let lines = fetched.untagged.iter().rev();
    let mut lines =
        lines.filter(|line| line.contains(&label) || line.contains(&format!("UID {uid})")));
    let line = lines.next().context("no flags")?;
    let all = NAMES.iter().enumerate();
    let marks = all.filter(|(_, name)| line.contains(*name));
    Ok(marks.fold(0, |marks, (bit, _)| marks | (1 << bit)))
}

/// The number behind the first `label`.
fn number_after(text: &str, label: &str) -> anyhow::Result<usize> {
    let rest = text
        .split_once(label)
        .with_context(|| format!("no {label:?} in {text:.300}"))?
        .1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}
