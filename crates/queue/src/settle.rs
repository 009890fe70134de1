//! What an attempt came to, written to the metadata: who has the message, who
//! never will, when it is tried again, and the notices that the sender gets, all
//! in one command under the entry's lease.

use std::time::Duration;

use postrider_meta::command::{DestinationChange, Notice, SettleQueued, Settled};
use postrider_meta::{
    DestinationView, Event, EventKind, QueuedView, ReadAt, Refusal, Token, query,
};
use postrider_types::{EnhancedStatus, Millis};
use tokio::time::sleep;

use crate::courier::Shared;
use crate::hands::Held;
use crate::notice::{self, Facts, Kind};
use crate::schedule;
use crate::trouble::Trouble;

/// Between tries to reach the metadata.
const PAUSE: Duration = Duration::from_secs(1);

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A host has taken the message.
    Relayed {
        host: String,
        reply: String,
        /// It tells the sender what the sender asked to be told (RFC 3461 §5.2).
        tells: bool,
    },
    /// It will not come there.
    Failed(Trouble),
    /// Not yet.
    Deferred(Trouble),
}

impl Fate {
    /// What `trouble` means for a recipient.
    pub(crate) fn of(trouble: &Trouble) -> Self {
        match trouble.permanent {
            true => Self::Failed(trouble.clone()),
            false => Self::Deferred(trouble.clone()),
        }
    }
}

/// What an attempt tells about the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// It takes mail.
    Works,
    /// It takes mail, but asks for less of it.
    Throttles,
    /// It cannot be reached, for this reason.
    Rests(String),
    /// Nothing.
    Unknown,
}

impl Shared {
    /// Writes what became of each recipient of an entry.
    pub(crate) async fn settle(&self, held: &Held, fates: Vec<Fate>, destination: Destination) {
        let entry = &held.entry;
        let now = self.handles.meta.clock().now();
        let expired = entry.expires <= now;
        let fates: Vec<Fate> = fates
            .into_iter()
            .map(|fate| match fate {
                Fate::Deferred(trouble) if expired => Fate::Failed(given_up(entry, trouble, now)),
                other => other,
            })
            .collect();
        if destination == Destination::Throttles {
            self.hands.narrow(&entry.destination);
        }
        let (fates, notices) = self.with_notices(held, fates, now).await;
        self.outcomes.tried(&entry.destination);
        self.log(entry, &fates);
        let waits = fates.iter().any(|fate| matches!(fate, Fate::Deferred(_)));
        let due = waits.then(|| {
            schedule::next_attempt(&self.settings, entry.attempts + 1, now, entry.expires)
        });
        let settle = SettleQueued {
            id: entry.id,
            lease: held.grip.lease(),
            attempted: true,
            results: (0..).zip(fates.iter().map(settled)).collect(),
            error: fates.iter().rev().find_map(reason),
            due,
            warn: entry.warn.filter(|warn| *warn > now),
            notices,
            destination: self.change(destination, now, entry).await,
            events: events(self, entry, &fates, now),
        };
        self.write(held, settle).await;
    }

    /// The sender is told that a message is still waiting, or that its time is up;
    /// nothing is tried.
    pub(crate) async fn tell(&self, held: &Held) {
        let entry = &held.entry;
        let now = self.handles.meta.clock().now();
        let text = entry.last_error.clone();
        let text = text.unwrap_or_else(|| "the message waits for its turn".into());
        let trouble = Trouble::ours((4, 4, 7), text);
        let fate = match entry.expires <= now {
            true => Fate::Failed(given_up(entry, trouble, now)),
            false => Fate::Deferred(trouble),
        };
        let fates = vec![fate; entry.recipients.len()];
        let (fates, notices) = self.with_notices(held, fates, now).await;
        self.log(entry, &fates);
        let settle = SettleQueued {
            due: Some(entry.due.max(now)),
            results: (0..).zip(fates.iter().map(settled)).collect(),
            warn: entry.warn.filter(|warn| *warn > now),
            events: events(self, entry, &fates, now),
            notices,
            ..self.unchanged(held)
        };
        self.write(held, settle).await;
    }

    /// Whether the entry's destination rests, as far as is known here.
    pub(crate) async fn rests(&self, entry: &QueuedView) -> bool {
        let now = self.handles.meta.clock().now();
        let view = self.destination(&entry.destination).await;
        let not_before = view.and_then(|view| view.not_before);
        not_before.is_some_and(|moment| moment > now)
    }

    /// Gives an entry back to the queue, due at once.
    pub(crate) async fn give_back(&self, held: &Held) {
        let settle = self.unchanged(held);
        self.write(held, settle).await;
    }

    /// Gives an entry back to the queue, and puts its destination off: this node has no
    /// connection for it. That is no attempt.
    pub(crate) async fn put_off(&self, held: &Held, trouble: &Trouble) {
        let now = self.handles.meta.clock().now();
        let error = trouble.line();
        let settle = SettleQueued {
            error: Some(error.clone()),
            destination: DestinationChange::Rest {
                until: schedule::rest(&self.settings, 1, now),
                error,
            },
            ..self.unchanged(held)
        };
        self.write(held, settle).await;
    }

    /// Ends the lease and changes nothing else.
    fn unchanged(&self, held: &Held) -> SettleQueued {
        let now = self.handles.meta.clock().now();
        SettleQueued {
            id: held.entry.id,
            lease: held.grip.lease(),
            attempted: false,
            results: Vec::new(),
            error: held.entry.last_error.clone(),
            due: Some(now),
            warn: held.entry.warn,
            notices: Vec::new(),
            destination: DestinationChange::Keep,
            events: Vec::new(),
        }
    }

    /// Runs the settlement until it is durable or void.
    async fn write(&self, held: &Held, mut settle: SettleQueued) {
        let mut waited = Duration::ZERO;
        loop {
            match self.handles.meta.run(settle.clone()).await {
                Ok((Ok(_), _)) => break,
                // The lease is another's. If that is because an earlier try was
                // applied after all, so be it.
                Ok((Err(Refusal::NotFound(_)), _)) => {
                    match self.has_anew(held, settle.lease).await {
                        Some(lease) => settle.lease = lease,
                        None => break,
                    }
                    continue;
                }
                // A message that was taken and is not settled would be sent again
                // and again: better without a word to the sender.
                Ok((Err(refusal), _)) if !settle.notices.is_empty() => {
                    tracing::error!(
                        id = %held.entry.id, body = %held.entry.body, %refusal,
                        "the notice to the sender of a message is refused, and left out"
                    );
                    settle.notices.clear();
                    continue;
                }
                Ok((Err(refusal), _)) => {
                    tracing::error!(id = %held.entry.id, %refusal, "a delivery cannot be recorded");
                    break;
                }
                // Nothing else can be done for it. The lease number keeps a late try
                // from doing harm.
                Err(error) if waited.is_zero() => {
                    tracing::warn!(id = %held.entry.id, %error, "a delivery is not recorded yet");
                }
                Err(_) => {}
            }
            sleep(PAUSE).await;
            waited += PAUSE;
        }
        self.hands.done(held);
    }

    /// The lease under which the same attempt has come to this node once more, after the
    /// one with this number.
    async fn has_anew(&self, held: &Held, ended: u64) -> Option<u64> {
        // It may be among those that are being leased.
        let _taking = self.taking.lock().await;
        Some(held.grip.lease()).filter(|lease| *lease != ended)
    }

    async fn change(
        &self,
        destination: Destination,
        now: Millis,
        entry: &QueuedView,
    ) -> DestinationChange {
        match destination {
            Destination::Works => DestinationChange::Works,
            Destination::Throttles => DestinationChange::Rest {
                until: schedule::rest(&self.settings, 1, now),
                error: "the server asks for fewer messages".into(),
            },
            Destination::Rests(error) => {
                let view = self.destination(&entry.destination).await;
                let failures = view.map_or(0, |view| view.failures);
                DestinationChange::Rest {
                    until: schedule::rest(&self.settings, failures + 1, now),
                    error,
                }
            }
            Destination::Unknown => DestinationChange::Keep,
        }
    }

    /// What is known of a destination.
    async fn destination(&self, name: &str) -> Option<DestinationView> {
        let question = query::QueueDestination {
            name: name.to_owned(),
        };
        let at_hand = ReadAt::AtLeast(Token(0));
        let answer = self.handles.meta.ask(question, at_hand).await;
        answer.ok().and_then(|(view, _)| view)
    }

    /// The notices that follow from `fates`. Where they cannot be made now, what has
    /// failed is tried again instead: nobody may lose a message without a word.
    async fn with_notices(
        &self,
        held: &Held,
        fates: Vec<Fate>,
        now: Millis,
    ) -> (Vec<Fate>, Vec<Notice>) {
        loop {
            match self.notices(&held.entry, &fates, now).await {
                Ok(notices) => return (fates, notices),
                Err(error) if self.stop.is_cancelled() || !held.grip.holds() => {
                    tracing::warn!(id = %held.entry.id, %error, "a notice waits for the next attempt");
                    let again = |fate| match fate {
                        Fate::Failed(trouble) => Fate::Deferred(trouble),
                        other => other,
                    };
                    return (fates.into_iter().map(again).collect(), Vec::new());
                }
                Err(error) => {
                    tracing::debug!(id = %held.entry.id, %error, "a notice is not made yet");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// The notices to the sender that follow from `fates`.
    async fn notices(
        &self,
        entry: &QueuedView,
        fates: &[Fate],
        now: Millis,
    ) -> Result<Vec<Notice>, postrider_notice::Error> {
        // RFC 5321 §6.1: nobody is told of a notice's failure.
        if entry.envelope.reverse_path.is_empty() {
            return Ok(Vec::new());
        }
        let warn = entry.warn.is_some_and(|warn| warn <= now);
        let mut notices = Vec::new();
        for kind in [Kind::Failed, Kind::Delayed, Kind::Relayed] {
            let facts: Vec<Facts<'_>> = (entry.recipients.iter().zip(fates))
                .filter(|(recipient, fate)| kind.concerns(recipient, fate, warn))
                .map(|(recipient, fate)| Facts { recipient, fate })
                .collect();
            if facts.is_empty() {
                continue;
            }
            match notice::make(self, entry, kind, &facts, now).await {
                Ok(accept) => notices.push(Notice { accept }),
                Err(postrider_notice::Error::Sender(reason)) => {
                    tracing::error!(id = %entry.id, reason, "nobody can be told of a message");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(notices)
    }

    /// Logs and counts what became of each recipient.
    fn log(&self, entry: &QueuedView, fates: &[Fate]) {
        for (recipient, fate) in entry.recipients.iter().zip(fates) {
            let (outcome, host, reply) = match fate {
                Fate::Relayed { host, reply, .. } => ("sent", Some(host), reply.clone()),
                Fate::Failed(trouble) => ("failed", trouble.host.as_ref(), trouble.text.clone()),
                Fate::Deferred(trouble) => {
                    ("deferred", trouble.host.as_ref(), trouble.text.clone())
                }
            };
            self.outcomes.became(&entry.destination, outcome);
            tracing::info!(
                queued = %entry.id,
                id = %entry.body,
                recipient = recipient.address,
                host,
                outcome,
                reply,
                "tried to send a message"
            );
        }
    }
}

/// The end of an entry's lifetime, with the last reason.
fn given_up(entry: &QueuedView, trouble: Trouble, now: Millis) -> Trouble {
    let hours = now.since(entry.created).as_secs() / 3600;
    let tried = match hours {
        0..48 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    };
    Trouble {
        permanent: true,
        // RFC 3463 §3.5: delivery time expired.
        status: EnhancedStatus(5, 4, 7),
        text: format!(
            "tried in vain for {tried}; the last reason: {}",
            trouble.text
        ),
        ..trouble
    }
}

fn settled(fate: &Fate) -> Settled {
    match fate {
        Fate::Relayed { .. } | Fate::Failed(_) => Settled::Gone,
        Fate::Deferred(trouble) => Settled::Kept(trouble.line()),
    }
}

fn reason(fate: &Fate) -> Option<String> {
    match fate {
        Fate::Deferred(trouble) => Some(trouble.line()),
        _ => None,
    }
}

/// What is told of it later on (`postrider trace`).
fn events(shared: &Shared, entry: &QueuedView, fates: &[Fate], now: Millis) -> Vec<Event> {
    let event = |(recipient, fate): (&postrider_meta::QueuedRecipient, &Fate)| {
        let (kind, host, reply) = match fate {
            Fate::Relayed { host, reply, .. } => {
                (EventKind::Relayed, Some(host.clone()), reply.clone())
            }
            Fate::Failed(trouble) => (EventKind::Failed, trouble.host.clone(), trouble.spoken()),
            Fate::Deferred(trouble) => {
                (EventKind::Deferred, trouble.host.clone(), trouble.spoken())
            }
        };
        Event {
            at: now,
            node: Some(shared.handles.node),
            kind,
            recipient: Some(recipient.address.clone()),
            host,
            reply: Some(reply),
        }
    };
    entry.recipients.iter().zip(fates).map(event).collect()
}
