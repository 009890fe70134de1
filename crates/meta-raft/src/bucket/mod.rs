//! The third vote of two nodes: a voter whose memory is one object in the bucket.
//! Nobody hosts it. Whichever node has something to say to it reads its record,
//! answers by the rules of Raft in its place, and writes the record back by
//! compare and set: of two that do so at once one is refused by the store, reads
//! again and answers anew. See docs/adr/0041.
//!
//! It never stands for election by itself, evaluates nothing and serves nobody;
//! where it alone has what a survivor lacks, that one brings it over (`rescue`).

mod append;
mod peer;
mod record;
mod rescue;
mod segment;
mod tend;
mod trial;
mod voters;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::raft::{VoteRequest, VoteResponse};
use parking_lot::Mutex as Lock;
use postrider_blob::{Error as StoreError, Store, Version};
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep};

pub(crate) use self::peer::BucketPeer;
use self::record::{Record, Refused, Segment, size};
use self::trial::Trial;
pub(crate) use self::voters::Voters;
use crate::archive::{Archive, VOTE};
use crate::raft::{LogId, TypeConfig, Vote};

/// The bucket's id among the voters. Nodes are numbered from 1.
pub const BUCKET: u64 = 0;

/// How long one request to the store may take.
const LIMIT: Duration = Duration::from_secs(5);
/// A record is written again at once so often where others write it, too.
const TRIES: u32 = 8;
/// Between writes while the nodes are a majority without the bucket.
const LAG: Duration = Duration::from_secs(1);

/// Entries that the nodes have not got durable after this long do not wait any more.
const HURRY: Duration = Duration::from_millis(150);
/// Between looks whether a bucket that is not needed still answers.
pub(crate) const IDLE: Duration = Duration::from_secs(5);
/// Between looks whether the bucket is needed.
const LOOK: Duration = Duration::from_millis(20);

/// Why the bucket does not answer, in words.
pub(crate) type Unanswered = String;

/// How the vote in the bucket is doing, as one node knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct BucketHealth {
    /// It is to vote where two nodes do.
    pub wanted: bool,
    /// Milliseconds since the bucket last answered this node; nothing: not yet.
    pub silent_ms: Option<u64>,
    /// Why it has no vote, or cannot give it; nothing: it can.
    pub problem: Option<String>,
    /// Why this node does not rely on the store, as its trial has shown; nothing: it
    /// does, or has not tried it.
    pub unreliable: Option<String>,
    /// How long a small write took when the bucket was tried, in milliseconds.
    pub write_ms: Option<u64>,
}

/// The vote in the bucket, as one node sees it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bucket(Arc<Inner>);

struct Inner {
    store: Arc<Store>,
    archive: Archive,
    /// Where its objects lie.
    prefix: String,
    /// It is to vote where two nodes do.
    wanted: bool,
    /// For so long a record stays before it is taken for nobody's.
    patience: Duration,
    voters: Voters,
    /// The record as it was last seen. Held over each write of it, and over nothing that
    /// takes longer: heartbeats wait for it.
    known: Mutex<Option<Known>>,
    /// Held from before an object is put until the record names it: a sweep in between
    /// would take it for one that nobody needs. Taken before `known`.
    naming: Mutex<()>,
    /// The writing that was last seen, and since when nobody else has written.
    watched: Lock<Option<(u64, Instant)>>,
    /// The last writing of this node.
    mine: AtomicU64,
    /// The highest serial number that was seen.
    serial: AtomicU64,
    /// When this node began its last writing of the record.
    written: Lock<Option<Instant>>,
    /// When it may write next while the bucket is not needed.
    turn: Lock<Option<Instant>>,
    answered: Lock<Option<Instant>>,
    problem: Lock<Option<String>>,
    /// Whether the store can be relied on.
    trial: Lock<Trial>,
    write_ms: AtomicU64,
    /// A vote was refused: the bucket has more than this node.
    behind: Notify,
}

#[derive(Clone)]
struct Known {
    record: Record,
    version: Version,
}

/// What is to be done with a record, and what is answered.
enum Change<T> {
    Keep(T),
    Write(Record, T),
}

impl Bucket {
    /// The vote of the cluster whose snapshots are in `archive`. `lease`: how long
    /// a leader may count on a voter that has answered it.
    pub(crate) fn new(archive: &Archive, wanted: bool, lease: Duration, me: u64) -> Self {
        let (store, prefix) = archive.beside(VOTE);
        Self(Arc::new(Inner {
            store,
            archive: archive.clone(),
            prefix,
            wanted,
            patience: 2 * lease,
            voters: Voters::new(me, lease / 2),
            known: Mutex::default(),
            naming: Mutex::default(),
            watched: Lock::default(),
            mine: AtomicU64::default(),
            serial: AtomicU64::default(),
            written: Lock::default(),
            turn: Lock::default(),
            answered: Lock::default(),
            problem: Lock::default(),
            trial: Lock::default(),
            write_ms: AtomicU64::default(),
            behind: Notify::new(),
        }))
    }

    /// Who else votes, and who was heard of.
    pub(crate) fn voters(&self) -> &Voters {
        &self.0.voters
    }

    /// How it is doing.
    pub(crate) fn health(&self) -> BucketHealth {
        let answered = *self.0.answered.lock();
        let write_ms = self.0.write_ms.load(Ordering::Relaxed);
        BucketHealth {
            wanted: self.0.wanted,
            silent_ms: answered
                .map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)),
            problem: self.0.problem.lock().clone(),
            unreliable: self.unreliable(),
            write_ms: (write_ms > 0).then_some(write_ms),
        }
    }

    /// How long ago it answered this node.
    pub(crate) fn silence(&self) -> Option<Duration> {
        self.0.answered.lock().map(|at| at.elapsed())
    }

    fn key(&self) -> String {
        format!("{}/record", self.0.prefix)
    }

    fn segment_key(&self, segment: &Segment) -> String {
        let Segment { first, name, .. } = segment;
        format!("{}/log/{first:020}-{name:016x}", self.0.prefix)
    }

    /// Reads the record from the store. None: there is none that can be used.
    async fn look(&self, known: &mut Option<Known>) -> Result<Option<Record>, Unanswered> {
        *known = None;
        let Some((bytes, version)) = self.read().await? else {
            return Ok(None);
        };
        let record = self.judge(&bytes);
        *known = record.clone().map(|record| Known { record, version });
        Ok(record)
    }

    /// What lies where the record belongs, whatever it is, and its version.
    async fn read(&self) -> Result<Option<(Bytes, Version)>, Unanswered> {
        self.is_relied_on()?;
        let found = self.0.store.read_register(&self.key(), LIMIT).await;
        found.map_err(|error| self.failed(&error))
    }

    /// The record in these bytes, if it can be used.
    fn judge(&self, bytes: &[u8]) -> Option<Record> {
        let record: Record = match segment::unpack(bytes) {
            Ok(record) => record,
            Err(error) => {
                self.failed(&format!("the record of its vote is damaged: {error}"));
                return None;
            }
        };
        if record.serial < self.0.serial.fetch_max(record.serial, Ordering::Relaxed) {
            self.failed(
                &"an old record of its vote was put back: what it has forgotten is unknown",
            );
            return None;
        }
        self.saw(&record);
        Some(record)
    }

    /// Reads the record, which has to be there.
    async fn look_again(&self, known: &mut Option<Known>) -> Result<Known, Unanswered> {
        self.look(known).await?;
        known
            .clone()
            .ok_or_else(|| self.failed(&"its vote is lost"))
    }

    /// Changes the record, or only looks at it. `fresh`: not from memory.
    async fn change<T>(
        &self,
        fresh: bool,
        mut decide: impl FnMut(&Record) -> Change<T>,
    ) -> Result<T, Unanswered> {
        let mut known = self.0.known.lock().await;
        if fresh {
            *known = None;
        }
        for _ in 0..TRIES {
            let at = match &*known {
                Some(at) => at.clone(),
                None => self.look_again(&mut known).await?,
            };
            let (record, answer) = match decide(&at.record) {
                Change::Keep(answer) => return Ok(answer),
                Change::Write(record, answer) => (record, answer),
            };
            if self.write(&mut known, record, Some(&at.version)).await? {
                return Ok(answer);
            }
        }
        Err(self.failed(&"others write it all the time"))
    }

    /// Writes `record` over `version`. False: another was faster.
    async fn write(
        &self,
        known: &mut Option<Known>,
        mut record: Record,
        version: Option<&Version>,
    ) -> Result<bool, Unanswered> {
        record.writing = crate::simulation::random();
        record.serial += 1;
        let writing = record.writing;
        self.0.mine.store(writing, Ordering::Relaxed);
        let began = Instant::now();
        let bytes = segment::pack(&record).map_err(|error| self.failed(&error))?;
        *known = None;
        let key = self.key();
        let written = self.0.store.write_register(&key, bytes, version, LIMIT);
        match written.await {
            Ok(version) => {
                self.0.serial.fetch_max(record.serial, Ordering::Relaxed);
                self.saw(&record);
                // Others may have seen it as early as that.
                *self.0.written.lock() = Some(began);
                let now = Instant::now();
                let mut turn = self.0.turn.lock();
                // One request a second: an object before it counts, too.
                *turn = Some(turn.filter(|turn| *turn > now).unwrap_or(now) + LAG);
                drop(turn);
                *known = Some(Known { record, version });
                Ok(true)
            }
            Err(StoreError::Exists(_)) => Ok(false),
            // It may have been written: what is there now tells.
            Err(StoreError::Unavailable(_)) => {
                let there = self.look(known).await?;
                Ok(there.is_some_and(|there| there.writing == writing))
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Notes that the store has answered with this record.
    fn saw(&self, record: &Record) {
        let now = Instant::now();
        *self.0.answered.lock() = Some(now);
        *self.0.problem.lock() = None;
        let mine = record.writing == self.0.mine.load(Ordering::Relaxed);
        let mut watched = self.0.watched.lock();
        *watched = match *watched {
            Some((writing, since)) if mine || writing == record.writing => {
                Some((record.writing, since))
            }
            _ => Some((record.writing, now)),
        };
    }

    /// Notes a failure, once for as long as it lasts.
    fn failed(&self, error: &dyn std::fmt::Display) -> Unanswered {
        let text = error.to_string();
        let mut problem = self.0.problem.lock();
        if problem.is_none() {
            tracing::warn!(error = text, "the vote in the bucket cannot be used");
        }
        *problem = Some(text.clone());
        text
    }

    /// For how long the record has been as it is, as far as this node has seen.
    fn unchanged(&self, record: &Record) -> Duration {
        match *self.0.watched.lock() {
            Some((writing, since)) if writing == record.writing => since.elapsed(),
            _ => Duration::ZERO,
        }
    }

    /// Whether nobody leads with the bucket's help. A leader that needs it writes
    /// the record at least twice within that time.
    fn abandoned(&self, record: &Record) -> bool {
        self.unchanged(record) >= self.0.patience
    }

    /// Waits until it is time to write the entry `index`: at once where the bucket is
    /// needed for a majority, soon where the nodes do not get it durable by themselves,
    /// else not more than once a second.
    async fn wait_for_turn(&self, index: u64) {
        let began = Instant::now();
        loop {
            if began.elapsed() >= HURRY && !self.0.voters.have(index) {
                return;
            }
            let turn = *self.0.turn.lock();
            let left = turn.map(|turn| turn.saturating_duration_since(Instant::now()));
            match left.filter(|left| !left.is_zero()) {
                Some(left) if !self.0.voters.need_bucket() => sleep(left.min(LOOK)).await,
                _ => return,
            }
        }
    }

    /// Confirms a leader: nobody else was voted for until now. `beat`: also shows
    /// others that it lives, where it has not written for that long.
    pub(crate) async fn confirm(
        &self,
        vote: Vote,
        previous: Option<LogId>,
        beat: Option<Duration>,
    ) -> Result<Result<(), Refused>, Unanswered> {
        let due = || {
            let quiet = self.0.written.lock().map(|at| at.elapsed());
            beat.is_some_and(|beat| quiet.is_none_or(|quiet| quiet >= beat))
        };
        // A write over what is known finds out by itself whether that is still so.
        self.change(!due(), |record| {
            let mut next = record.clone();
            match next.append(vote, previous, Vec::new(), None) {
                Err(refused) => Change::Keep(Err(refused)),
                Ok(()) if due() || next != *record => Change::Write(next, Ok(())),
                Ok(()) => Change::Keep(Ok(())),
            }
        })
        .await
    }

    /// Votes, or says whether it would.
    pub(crate) async fn vote(
        &self,
        request: &VoteRequest<TypeConfig>,
        only_asked: bool,
    ) -> Result<VoteResponse<TypeConfig>, Unanswered> {
        let last = request.last_log_id;
        // The write tells whether what was seen when it was asked first still holds.
        self.change(only_asked, |record| {
            if last < record.last {
                self.0.behind.notify_one();
            }
            // Of a leader that hands over no more is heard.
            let voted = record.vote == request.vote;
            let free = voted || request.leadership_transfer || self.abandoned(record);
            let granted = free && record.would_vote(&request.vote, last);
            let answer = |vote| VoteResponse::new(vote, record.last, granted);
            if only_asked || voted || !granted {
                return Change::Keep(answer(record.vote));
            }
            let mut next = record.clone();
            next.vote = request.vote;
            Change::Write(next, answer(request.vote))
        })
        .await
    }

    /// Says that the archive holds everything up to `id`.
    pub(crate) async fn rebase(
        &self,
        leader: Vote,
        id: LogId,
    ) -> Result<Result<(), Refused>, Unanswered> {
        self.change(true, |record| {
            let mut next = record.clone();
            match next.follow(leader) {
                Err(refused) => Change::Keep(Err(refused)),
                Ok(()) => {
                    next.rebase(id);
                    match next == *record {
                        true => Change::Keep(Ok(())),
                        false => Change::Write(next, Ok(())),
                    }
                }
            }
        })
        .await
    }

    /// Makes the record of a voter that follows `leader` and knows nothing, unless
    /// there is one.
    async fn create(&self, leader: Vote) -> Result<(), Unanswered> {
        let mut known = self.0.known.lock().await;
        *known = None;
        // One that cannot be used is overwritten: nobody counts on it, as it has no vote.
        // Only over the version that was judged, so that a request which is late does
        // nothing to a record that another has made since.
        let unusable = match self.read().await? {
            Some((bytes, _)) if self.judge(&bytes).is_some() => return Ok(()),
            Some((_, version)) => Some(version),
            None => None,
        };
        let mut record = Record::new(leader);
        // Higher than any that somebody has seen: this one was not put back.
        let seen = self.0.serial.load(Ordering::Relaxed);
        record.serial = seen.max(leader.leader_id.term << 32);
        if self.write(&mut known, record, unusable.as_ref()).await? {
            return Ok(());
        }
        self.look_again(&mut known).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests;
