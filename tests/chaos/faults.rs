//! What can go wrong with a node, its disk, its clock, its network and the bucket.

use std::fmt;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::bucket::Mood;
use crate::disk::Disk;

/// Seconds by which a clock jumps, unless it jumps by days.
const NEAR: i32 = 4000;
/// The same by days.
const FAR: i32 = 60 * 24 * 3600;

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGKILL of all nodes at once.
    KillAll,
    /// SIGSTOP, and SIGCONT in the end.
    Pause,
    /// No packet to or from anybody.
    Isolate,
    /// None to or from the other nodes; clients and the bucket are reached.
    CutOff,
    /// None from the other nodes; those to them come through.
    Deaf,
    /// None to the other nodes; those from them come through.
    Mute,
    /// None to or from one of the other nodes.
    Pair,
    /// None to the bucket.
    NoBucket,
    /// Each packet is late by so many milliseconds.
    Delay(u32),
    /// So many percent of all packets that come are lost.
    Loss(u32),
    /// So many writes to the disk in a second.
    SlowDisk(u32),
    /// Less is left on the disk than is to stay free.
    LowDisk,
    /// No byte is left on the disk.
    FullDisk,
    /// The wall clock jumps by so many seconds.
    Clock(i32),
    /// The bucket is in a mood, for all nodes.
    Bucket(Mood),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill => write!(f, "SIGKILL"),
            Self::KillAll => write!(f, "SIGKILL of all"),
            Self::Pause => write!(f, "SIGSTOP"),
            Self::Isolate => write!(f, "cut off from all"),
            Self::CutOff => write!(f, "cut off from the nodes"),
            Self::Deaf => write!(f, "hears no node"),
            Self::Mute => write!(f, "heard by no node"),
            Self::Pair => write!(f, "cut off from one node"),
            Self::NoBucket => write!(f, "cut off from the bucket"),
            Self::Delay(time) => write!(f, "packets late by {time} ms"),
            Self::Loss(percent) => write!(f, "{percent} % of packets lost"),
            Self::SlowDisk(writes) => write!(f, "disk with {writes} writes/s"),
            Self::LowDisk => write!(f, "disk nearly full"),
            Self::FullDisk => write!(f, "disk full"),
            Self::Clock(seconds) => write!(f, "clock jumps by {seconds} s"),
            Self::Bucket(Mood::Well) => write!(f, "bucket well"),
            Self::Bucket(Mood::Answers(status)) => write!(f, "bucket answers {status}"),
            Self::Bucket(Mood::Silent) => write!(f, "bucket never answers"),
            Self::Bucket(Mood::Deaf) => write!(f, "bucket's answers lost"),
            Self::Bucket(Mood::Slow(time)) => write!(f, "bucket slow by {time:?}"),
        }
    }
}

impl Fault {
    /// The kind for the report, without numbers.
    pub(crate) fn kind(self) -> String {
        match self {
            Self::Delay(_) => "packets late".to_owned(),
            Self::Loss(_) => "packets lost".to_owned(),
            Self::SlowDisk(_) => "disk slow".to_owned(),
            Self::Clock(seconds) if seconds.abs() > NEAR => "clock jumps by days".to_owned(),
            Self::Clock(_) => "clock jumps".to_owned(),
            Self::Bucket(Mood::Answers(_)) => "bucket answers 500 or 503".to_owned(),
            Self::Bucket(Mood::Slow(_)) => "bucket slow".to_owned(),
            other => other.to_string(),
        }
    }

    /// Whether it hits one node alone.
    pub(crate) fn is_of_one(self) -> bool {
        !matches!(self, Self::KillAll | Self::Bucket(_))
    }

    /// Whether it takes its time until it shows.
    fn is_slow(self) -> bool {
        matches!(self, Self::LowDisk | Self::FullDisk | Self::Clock(_))
    }

    /// Whether it concerns a node's process: only one such fault at a time.
    pub(crate) fn is_of_process(self) -> bool {
        matches!(self, Self::Kill | Self::KillAll | Self::Pause)
    }
}

/// Whom a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    /// The node that leads.
    Leader,
    /// One that does not, by a number.
    Other(usize),
}

/// A fault and its victim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blow {
    pub(crate) fault: Fault,
    pub(crate) victim: Victim,
    /// After the blow before.
    pub(crate) after: Duration,
}

/// What goes wrong together, and for how long.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(crate) blows: Vec<Blow>,
    pub(crate) holds: Duration,
}

/// What this machine can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Means {
    pub(crate) slow_disk: bool,
    pub(crate) clock: bool,
}

impl Means {
    /// Of this machine, with clocks that can jump or without.
    pub(crate) fn of(clock: bool) -> Self {
        Self {
            slow_disk: Disk::can_be_slow(),
            clock,
        }
    }
}

/// Rounds without an end, each kind of fault once before one comes again.
pub(crate) struct Deck {
    rng: StdRng,
    means: Means,
    cards: Vec<Fault>,
    /// Words of which the name of each fault has one; none: any fault.
    only: Vec<String>,
    /// Kills of the leader alone come often: they are measured.
    turn: usize,
}

impl Deck {
    pub(crate) fn new(rng: StdRng, means: Means, only: &[String]) -> Self {
        Self {
            rng,
            means,
            cards: Vec::new(),
            only: only.to_vec(),
            turn: 0,
        }
    }

    /// The next round.
    pub(crate) fn deal(&mut self) -> Round {
        self.turn += 1;
        let holds = Duration::from_millis(self.rng.random_range(2500..7000));
        if self.turn % 3 == 1 {
            let blow = Blow {
                fault: Fault::Kill,
                victim: Victim::Leader,
                after: Duration::ZERO,
            };
            return Round {
                blows: vec![blow],
                holds,
            };
        }
        let count = [1, 1, 2, 2, 3][self.rng.random_range(0..5)];
        let mut blows: Vec<Blow> = Vec::new();
        while blows.len() < count {
            let fault = self.card();
            let of_process = |blow: &Blow| blow.fault.is_of_process();
            if fault.is_of_process() && blows.iter().any(of_process) {
                self.cards.insert(0, fault);
                break;
            }
            blows.push(self.blow(fault));
        }
        let slow = blows.iter().any(|blow| blow.fault.is_slow());
        let longer = slow && self.rng.random_bool(0.5);
        let holds = if longer { 3 * holds } else { holds };
        Round { blows, holds }
    }

    fn blow(&mut self, fault: Fault) -> Blow {
        let victim = if self.rng.random_bool(0.5) {
            Victim::Leader
        } else {
            Victim::Other(self.rng.random_range(0..100))
        };
        Blow {
            fault,
            victim,
            after: Duration::from_millis(self.rng.random_range(0..1500)),
        }
    }

    fn card(&mut self) -> Fault {
        if self.cards.is_empty() {
            self.cards = self.shuffled();
        }
        self.cards
            .pop()
            .expect("a fault has one of the words of --only")
    }

    fn shuffled(&mut self) -> Vec<Fault> {
        let rng = &mut self.rng;
        let mut cards = vec![
            Fault::Kill,
            Fault::KillAll,
            Fault::Pause,
            Fault::Isolate,
            Fault::CutOff,
            Fault::Deaf,
            Fault::Mute,
            Fault::Pair,
            Fault::NoBucket,
            Fault::Delay(rng.random_range(20..400)),
            Fault::Loss(rng.random_range(2..40)),
            Fault::LowDisk,
            Fault::FullDisk,
            Fault::Bucket(Mood::Answers(500)),
            Fault::Bucket(Mood::Answers(503)),
            Fault::Bucket(Mood::Silent),
            Fault::Bucket(Mood::Deaf),
            Fault::Bucket(Mood::Slow(Duration::from_millis(
                rng.random_range(200..3000),
            ))),
        ];
        if self.means.slow_disk {
            cards.push(Fault::SlowDisk(rng.random_range(5..60)));
        }
        if self.means.clock {
            let sign = if rng.random_bool(0.5) { 1 } else { -1 };
            cards.push(Fault::Clock(sign * rng.random_range(2..NEAR)));
            let sign = if rng.random_bool(0.5) { 1 } else { -1 };
            cards.push(Fault::Clock(sign * rng.random_range(NEAR..FAR)));
        }
        let wanted = |card: &Fault| {
            let kind = card.kind();
            self.only.is_empty() || self.only.iter().any(|word| kind.contains(word))
        };
        cards.retain(wanted);
        cards.shuffle(rng);
        cards
    }
}
