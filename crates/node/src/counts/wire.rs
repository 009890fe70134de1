//! Counts as parts of a stream and back. Bounds what one side takes from the other.

use std::sync::Arc;

use postrider_net::{Counts, Event, Held, Key, Report};
use postrider_rpc::proto::{self, CountsPart};
use postrider_rpc::tonic::Status;

use super::MOST;

/// Connections that one beginning may tell of.
const MAX_BEGINNING: usize = 1_000_000;

/// What of `report` processes counted that are `meant`.
pub(super) fn only(report: &Report, meant: impl Fn(u64) -> bool) -> Report {
    let mut kept = Report::default();
    for (name, span, events) in &report.events {
        let events = events.iter().filter(|event| meant(event.origin));
        let events: Vec<Event> = events.copied().collect();
        if !events.is_empty() {
            kept.events.push((name.clone(), *span, events));
        }
    }
    for (name, held) in &report.held {
        let held = held.iter().filter(|held| meant(held.origin));
        let held: Vec<Held> = held.copied().collect();
        if !held.is_empty() {
            kept.held.push((name.clone(), held));
        }
    }
    kept
}

/// The report in parts of at most [`MOST`] counts; none for none.
pub(super) fn parts(report: Report) -> Vec<CountsPart> {
    let mut parts = Packing::default();
    for (name, span, events) in report.events {
        for chunk in events.chunks(MOST) {
            let counts = chunk.iter().map(|event| proto::EventCount {
                key: event.key.to_bits(),
                origin: event.origin,
                window: event.window,
                count: event.count,
            });
            let events = proto::Events {
                limit: name.to_string(),
                span,
                counts: counts.collect(),
            };
            parts.with_room(chunk.len()).events.push(events);
        }
    }
    for (name, held) in report.held {
        for chunk in held.chunks(MOST) {
            let counts = chunk.iter().map(|held| proto::HeldCount {
                key: held.key.to_bits(),
                origin: held.origin,
                count: held.count,
            });
            let held = proto::Held {
                limit: name.to_string(),
                counts: counts.collect(),
            };
            parts.with_room(chunk.len()).held.push(held);
        }
    }
    parts.full.extend(parts.filling);
    parts.full
}

/// Parts that are being filled one after the other.
#[derive(Default)]
struct Packing {
    full: Vec<CountsPart>,
    filling: Option<CountsPart>,
    counts: usize,
}

impl Packing {
    /// The part that takes `counts` more, of [`MOST`] at most.
    fn with_room(&mut self, counts: usize) -> &mut CountsPart {
        if self.counts + counts > MOST {
            self.full.extend(self.filling.take());
            self.counts = 0;
        }
        self.counts += counts;
        self.filling.get_or_insert_default()
    }
}

/// What was heard on one stream: first all that the other side knows, then changes.
pub(super) struct Heard {
    /// The process there; 0: it speaks for all.
    origin: u64,
    /// The connections of a beginning that is not yet whole.
    beginning: Option<Vec<(Arc<str>, Vec<Held>)>>,
}

impl Heard {
    /// Nothing yet, from the process `origin` (0: the leader's).
    pub(super) fn new(origin: u64) -> Self {
        Self {
            origin,
            beginning: Some(Vec::new()),
        }
    }

    /// Takes over a part; true if the beginning is whole with it.
    pub(super) fn take(&mut self, counts: &Counts, part: CountsPart) -> Result<bool, Status> {
        // What one of the others says is to be told to all.
        let tell = self.origin != 0;
        let more = part.more;
        let mut report = self.report(part);
        let held = std::mem::take(&mut report.held);
        counts.merge(&report, tell);
        let Some(mut beginning) = self.beginning.take() else {
            report.events.clear();
            report.held = held;
            counts.merge(&report, tell);
            return Ok(false);
        };
        beginning.extend(held);
        if more {
            if beginning.iter().map(|(_, held)| held.len()).sum::<usize>() > MAX_BEGINNING {
                return Err(Status::resource_exhausted("too many connections to count"));
            }
            self.beginning = Some(beginning);
            return Ok(false);
        }
        let origin = self.origin;
        counts.replace_held(&beginning, |o| origin == 0 || o == origin, tell);
        Ok(true)
    }

    fn report(&self, part: CountsPart) -> Report {
        let events = part.events.into_iter().map(|events| {
            let counts = events.counts.into_iter().map(|event| Event {
                key: Key::from_bits(event.key),
                origin: event.origin,
                window: event.window,
                count: event.count,
            });
            (events.limit.into(), events.span, counts.collect())
        });
        let held = part.held.into_iter().map(|held| {
            let counts = held.counts.into_iter();
            // Only the leader's node speaks of others.
            let counts = counts.filter(|h| self.origin == 0 || h.origin == self.origin);
            let counts = counts.map(|held| Held {
                key: Key::from_bits(held.key),
                origin: held.origin,
                count: held.count,
            });
            (held.limit.into(), counts.collect())
        });
        Report {
            events: events.collect(),
            held: held.collect(),
        }
    }
}
