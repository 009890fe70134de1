//! What became of every operation of a load, and when writes were acknowledged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::Reply;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A message by SMTP to a mailbox.
    Message,
    /// A message by LMTP.
    Maildrop,
    /// A message to another server, put into the queue.
    Outward,
    /// APPEND.
    Append,
    /// STORE.
    Flags,
    /// MOVE.
    Move,
    /// EXPUNGE.
    Expunge,
    /// A QUIT by POP3 that deletes.
    Delete,
}

/// What the client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It is done.
    Acknowledged,
    /// It is not done.
    Refused,
    /// No answer, or that the server itself does not know.
    Unknown,
}

/// All operations so far.
#[derive(Debug, Default)]
pub struct Journal {
    counts: Mutex<BTreeMap<(Kind, Outcome), u64>>,
    writes: Mutex<Vec<Write>>,
    wrongs: Mutex<Vec<String>>,
}

/// One acknowledged write.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    /// When it was asked for.
    pub began: Instant,
    /// When it was acknowledged.
    pub ended: Instant,
}

/// An operation that has begun; unknown unless it comes to another end.
pub struct Op<'a> {
    journal: &'a Journal,
    kind: Kind,
    began: Instant,
    outcome: Outcome,
}

impl Journal {
    /// An operation begins.
    pub fn begin(&self, kind: Kind) -> Op<'_> {
        Op {
            journal: self,
            kind,
            began: Instant::now(),
            outcome: Outcome::Unknown,
        }
    }

    /// How many operations there were of each kind and outcome.
    pub fn counts(&self) -> BTreeMap<(Kind, Outcome), u64> {
        self.counts.lock().clone()
    }

    /// Notes what a client saw and must never see.
    pub fn wrong(&self, what: &str) {
        self.wrongs.lock().push(what.to_owned());
    }

    /// All of that.
    pub fn wrongs(&self) -> Vec<String> {
        self.wrongs.lock().clone()
    }

    /// From `moment` to the first acknowledgement of a write that began after it.
    pub fn first_write_after(&self, moment: Instant) -> Option<Duration> {
        let writes = self.writes.lock();
        let later = writes.iter().filter(|write| write.began > moment);
        later.map(|write| write.ended - moment).min()
    }

    /// The longest time within `from..until` in which no write was acknowledged.
    pub fn longest_outage(&self, from: Instant, until: Instant) -> Duration {
        let writes = self.writes.lock();
        let within = writes.iter().map(|write| write.ended);
        let mut ends: Vec<Instant> = within.filter(|end| (from..until).contains(end)).collect();
        ends.push(until);
        ends.sort_unstable();
        let mut last = from;
        let mut longest = Duration::ZERO;
        for end in ends {
            longest = longest.max(end - last);
            last = end;
        }
        longest
    }
}

impl Op<'_> {
    /// The server says that it is done.
    pub fn acknowledged(mut self) {
        self.outcome = Outcome::Acknowledged;
    }

    /// The server says that it is not done.
    pub fn refused(mut self) {
        self.outcome = Outcome::Refused;
    }
}

impl Drop for Op<'_> {
    fn drop(&mut self) {
        *self
            .journal
            .counts
            .lock()
            .entry((self.kind, self.outcome))
            .or_default() += 1;
        if self.outcome == Outcome::Acknowledged {
            self.journal.writes.lock().push(Write {
                began: self.began,
                ended: Instant::now(),
            });
        }
    }
}

/// What a reply to a message tells. With 451 4.3.0 a server that lost the store of
/// metadata while it committed does not know itself: its client comes again, and
/// RFC 5321 §4.5.4.1 lets the message come twice then.
pub(super) fn told(reply: &Reply) -> Outcome {
    match reply.code {
        250 => Outcome::Acknowledged,
        451 if reply.text.contains("store is not available") => Outcome::Unknown,
        _ => Outcome::Refused,
    }
}

/// What the status of an IMAP command tells; with UNAVAILABLE (RFC 5530 §3) the
/// server does not know either.
pub(super) fn told_by_imap(status: &str) -> Outcome {
    if status.starts_with("OK") {
        Outcome::Acknowledged
    } else if status.contains("UNAVAILABLE") {
        Outcome::Unknown
    } else {
        Outcome::Refused
    }
}
