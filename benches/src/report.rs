//! Figures: rates, latencies and memory, as a table or as JSON.

use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde::Serialize;

/// One measured result.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    /// What was measured.
    scenario: String,
    /// Operations done.
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<u64>,
    /// Operations per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
    /// Median latency of one operation in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ms: Option<f64>,
    /// 99th percentile of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ms: Option<f64>,
    /// How many times as many per second as what it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    /// Proportional memory in KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_kib: Option<u64>,
}

impl Figure {
    /// A rate without latencies.
    pub(crate) fn rate(scenario: impl Into<String>, operations: u64, elapsed: Duration) -> Self {
        Self {
            scenario: scenario.into(),
            operations: Some(operations),
            per_second: Some(operations as f64 / elapsed.as_secs_f64()),
            p50_ms: None,
            p99_ms: None,
            ratio: None,
            memory_kib: None,
        }
    }

    /// A rate with the latencies in `microseconds`.
    pub(crate) fn latencies(
        scenario: impl Into<String>,
        microseconds: &Histogram<u64>,
        elapsed: Duration,
    ) -> Self {
        let quantile = |q| Some(microseconds.value_at_quantile(q) as f64 / 1000.0);
        Self {
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
            ..Self::rate(scenario, microseconds.len(), elapsed)
        }
    }

    /// The same figure, measured at `place`.
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.scenario = format!("{}, {place}", self.scenario);
        self
    }

    /// Several measurements of one scenario as one rate, without latencies.
    pub(crate) fn joined(parts: Vec<Self>) -> anyhow::Result<Self> {
        let scenario = parts
            .first()
            .context("nothing was measured")?
            .scenario
            .clone();
        let (mut operations, mut seconds) = (0, 0.0);
        for part in parts {
            let (done, rate) = part.operations.zip(part.per_second).context("not a rate")?;
            operations += done;
            seconds += done as f64 / rate;
        }
        let elapsed = Duration::from_secs_f64(seconds);
        Ok(Self::rate(scenario, operations, elapsed))
    }

    /// The same figure with its ratio to `other`.
    pub(crate) fn beside(mut self, other: &Self) -> Self {
        let rates = self.per_second.zip(other.per_second);
        self.ratio = rates.map(|(own, other)| own / other);
        self
    }

    /// An amount of memory.
    pub(crate) fn memory(scenario: impl Into<String>, kib: u64) -> Self {
        Self {
            scenario: scenario.into(),
            operations: None,
            per_second: None,
            p50_ms: None,
            p99_ms: None,
            ratio: None,
            memory_kib: Some(kib),
        }
    }
}

/// Proportional memory of processes in KiB (proc_pid_smaps(5), `Pss`).
pub(crate) fn memory(pids: &[u32]) -> anyhow::Result<u64> {
    let mut sum = 0;
    for pid in pids {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix("Pss:"))
            .context("no Pss line")?;
        sum += line.trim().trim_end_matches(" kB").parse::<u64>()?;
    }
    Ok(sum)
}

/// Prints the figures to standard output.
#[allow(clippy::print_stdout)]
pub(crate) fn print(figures: &[Figure], json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(figures)?);
        return Ok(());
    }
    println!(
        "{:<44} {:>10} {:>12} {:>10} {:>10} {:>6} {:>12}",
        "scenario", "count", "per second", "p50 ms", "p99 ms", "ratio", "memory KiB"
    );
    let number = |value: Option<f64>, digits| {
        value.map_or_else(String::new, |value| format!("{value:.digits$}"))
    };
    for figure in figures {
        println!(
            "{:<44} {:>10} {:>12} {:>10} {:>10} {:>6} {:>12}",
            figure.scenario,
            number(figure.operations.map(|n| n as f64), 0),
            number(figure.per_second, 0),
            number(figure.p50_ms, 2),
            number(figure.p99_ms, 2),
            number(figure.ratio, 2),
            number(figure.memory_kib.map(|n| n as f64), 0),
        );
    }
    Ok(())
}
