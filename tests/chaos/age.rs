//! Whether all bodies are there and nothing else is: at once, and after two days in
//! which whatever nobody knows has to go.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::field::Field;
use crate::servers;

/// So many seconds pass: more than `body.grace` and `backup.retention` are.
const AGE: i32 = 2 * 24 * 3600;
/// How long the sweep may take after that.
const SWEEP: Duration = Duration::from_secs(120);
/// What a node still has of a gap in the archive is there after so long.
const FILLED: Duration = Duration::from_secs(60);
/// The parts in which objects that nobody knows are looked for.
const FOLDERS: u32 = 512;

/// How many bodies and objects there are.
#[derive(Clone, Copy, Default)]
pub(crate) struct Stock {
    bodies: u64,
    /// Objects that the metadata know.
    known: u64,
    /// Objects of bodies in the bucket.
    there: u64,
    /// Those that nobody knows and that a backup may need.
    waiting: u64,
    /// Gaps in the archived log.
    gaps: usize,
}

impl fmt::Display for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            bodies,
            known,
            there,
            waiting,
            gaps,
        } = self;
        write!(
            f,
            "{bodies} bodies whole; {there} objects in the bucket, {known} known, {waiting} wait \
             for the backups; {gaps} gaps in the archived log"
        )
    }
}

impl Field {
    /// `postrider verify`, which has to find nothing but gaps in the archived log: nodes
    /// whose disks are nearly full may all have cut theirs. `how` else.
    async fn verify(&self, how: &[&str]) -> anyhow::Result<(Value, usize)> {
        let node = self.cluster.node(0);
        let data = node.dir().join("data");
        let data = data.to_string_lossy();
        let arguments = [&["verify", "--json", "--dir", &*data][..], how].concat();
        let (_, printed) = node.tool(&arguments, b"").await?;
        let found: Value = serde_json::from_str(printed.trim())
            .with_context(|| format!("verify: {printed:.1000}"))?;
        let problems = found["problems"].as_array().context("no problems")?;
        let is_gap = |problem: &&Value| {
            let text = problem.as_str().unwrap_or_default();
            text.starts_with("the archived log lacks entries")
        };
        let gaps = problems.iter().filter(is_gap).count();
        ensure!(gaps == problems.len(), "verify: {problems:#?}");
        Ok((found, gaps))
    }

    /// What there is.
    pub(crate) async fn stock(&self) -> anyhow::Result<Stock> {
        let node = self.cluster.node(0);
        let deadline = Instant::now() + FILLED;
        while self.verify(&["--quick"]).await?.1 > 0 && Instant::now() < deadline {
            sleep(Duration::from_secs(2)).await;
        }
        let (found, gaps) = self.verify(&[]).await?;
        let number = |name: &str| found[name].as_u64().context("verify tells no numbers");
        let mut there = 0;
        for folder in 0..FOLDERS {
            let path = format!("/v1/verify/unknown?quick=true&after={folder}");
            let step = node.api(&path).await?;
            there += step["checked"].as_u64().context("no number of objects")?;
        }
        Ok(Stock {
            bodies: number("bodies")?,
            known: number("objects")?,
            waiting: number("waiting")?,
            there,
            gaps,
        })
    }

    /// Stops all nodes, starts them two days later, and waits until nothing is left
    /// that should have been swept.
    pub(crate) async fn grow_old(mut self) -> anyhow::Result<(Self, Stock)> {
        for place in 0..self.count() {
            self.cluster.node_mut(place).stop().await?;
        }
        // Its clock stays, and a store that asks who comes refuses wrong clocks.
        servers::end(self.store).await?;
        self.store = servers::store(&self.weed, &self.dir.join("store"), true).await?;
        for place in 0..self.count() {
            self.set_clock(place, AGE)?;
            self.begin(place)?;
        }
        self.until_whole().await?;
        let deadline = Instant::now() + SWEEP;
        while let Err(error) = self.verify(&["--quick"]).await {
            ensure!(Instant::now() < deadline, "after the sweep: {error:.3000}");
            sleep(Duration::from_secs(2)).await;
        }
        let stock = self.stock().await?;
        Ok((self, stock))
    }
}
