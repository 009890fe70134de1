//! What came of it all.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use postrider_tests::Figures;
use postrider_tests::load::{Kind, Outcome};

use crate::age::Stock;

/// Sums over all episodes.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) nodes: usize,
    pub(crate) seed: u64,
    pub(crate) ran: Duration,
    pub(crate) rounds: usize,
    /// Per kind of fault: how often, and the longest time without an acknowledged
    /// write while it lasted, alone or with others.
    pub(crate) faults: BTreeMap<String, (usize, Duration)>,
    pub(crate) operations: BTreeMap<(Kind, Outcome), u64>,
    /// From SIGKILL of the leader to the next acknowledged write.
    pub(crate) failovers: Vec<Duration>,
    /// The longest time without an acknowledged write, and in which round.
    pub(crate) outage: (Duration, String),
    /// Writes of the third vote, and in what time: idle, and under load.
    pub(crate) idle_votes: Option<(u64, Duration)>,
    pub(crate) busy_votes: Option<(u64, Duration)>,
    /// What lies in the bucket in the end, and two days later.
    pub(crate) stock: Vec<Stock>,
    /// Messages that came to the outside server more than once.
    pub(crate) sent_twice: usize,
    /// What nodes did that nobody asked them for.
    pub(crate) notes: Vec<String>,
    /// What does not hold.
    pub(crate) wrongs: Vec<String>,
}

impl Report {
    /// One round has passed.
    pub(crate) fn round(&mut self, kinds: &[String], what: &str, outage: Duration) {
        self.rounds += 1;
        for kind in kinds {
            let (count, longest) = self.faults.entry(kind.clone()).or_default();
            *count += 1;
            *longest = outage.max(*longest);
        }
        if outage > self.outage.0 {
            self.outage = (outage, what.to_owned());
        }
    }

    /// The operations of an episode.
    pub(crate) fn add(&mut self, counts: BTreeMap<(Kind, Outcome), u64>) {
        for (what, count) in counts {
            *self.operations.entry(what).or_default() += count;
        }
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Message => "SMTP, to a mailbox",
        Kind::Maildrop => "LMTP",
        Kind::Outward => "SMTP, to the queue",
        Kind::Append => "IMAP APPEND",
        Kind::Flags => "IMAP STORE",
        Kind::Move => "IMAP MOVE",
        Kind::Expunge => "IMAP EXPUNGE",
        Kind::Delete => "POP3 QUIT",
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.ran.as_secs_f64() / 60.0;
        writeln!(
            f,
            "{} nodes, seed {}, {minutes:.1} minutes, {} rounds of faults",
            self.nodes, self.seed, self.rounds
        )?;
        writeln!(f, "\n| fault | times | longest time without a write |")?;
        writeln!(f, "|---|---|---|")?;
        for (fault, (count, longest)) in &self.faults {
            writeln!(f, "| {fault} | {count} | {:.1} s |", longest.as_secs_f64())?;
        }
        writeln!(f, "\n| operation | acknowledged | refused | unknown |")?;
        writeln!(f, "|---|---|---|---|")?;
        let kinds = [
            Kind::Message,
            Kind::Maildrop,
            Kind::Outward,
            Kind::Append,
            Kind::Flags,
            Kind::Move,
            Kind::Expunge,
            Kind::Delete,
        ];
        for kind in kinds {
            let of = |outcome| self.operations.get(&(kind, outcome)).copied();
            let [acknowledged, refused, unknown] =
                [Outcome::Acknowledged, Outcome::Refused, Outcome::Unknown]
                    .map(|outcome| of(outcome).unwrap_or_default());
            let name = name(kind);
            writeln!(f, "| {name} | {acknowledged} | {refused} | {unknown} |")?;
        }
        writeln!(f)?;
        if let Some(figures) = Figures::of(self.failovers.clone()) {
            writeln!(f, "SIGKILL of the leader to the next write: {figures}")?;
        }
        let (outage, what) = &self.outage;
        let seconds = outage.as_secs_f64();
        writeln!(f, "longest time without a write: {seconds:.1} s ({what})")?;
        let twice = self.sent_twice;
        writeln!(f, "sent twice to the outside server: {twice}")?;
        for (votes, when) in [(self.idle_votes, "idle"), (self.busy_votes, "under load")] {
            if let Some((votes, time)) = votes {
                writeln!(f, "writes of the third vote, {when}: {votes} in {time:?}")?;
            }
        }
        for (stock, when) in self.stock.iter().zip(["in the end", "two days later"]) {
            writeln!(f, "{when}: {stock}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        writeln!(
            f,
            "contradictions to what clients were told: {}",
            self.wrongs.len()
        )?;
        for wrong in &self.wrongs {
            writeln!(f, "WRONG: {wrong:.3000}")?;
        }
        Ok(())
    }
}
