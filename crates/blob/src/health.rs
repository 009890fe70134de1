//! Whether the object store answers: one circuit for reads and one for writes
//! (a full disk must not stop reading), opened by requests that failed after
//! all their retries and closed by a probe.

use std::sync::atomic::{AtomicBool, Ordering};

use metrics::gauge;
use tokio::sync::Notify;

/// The state of both circuits.
#[derive(Debug, Default)]
pub(crate) struct Health {
    reads: Circuit,
    writes: Circuit,
    /// Wakes the probe when a circuit opens.
    pub(crate) opened: Notify,
}

#[derive(Debug, Default)]
struct Circuit {
    open: AtomicBool,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Read,
    Write,
}

impl Health {
    fn circuit(&self, side: Side) -> &Circuit {
        match side {
            Side::Read => &self.reads,
            Side::Write => &self.writes,
        }
    }

    /// Whether requests of this side are let through.
    pub(crate) fn is_up(&self, side: Side) -> bool {
        !self.circuit(side).open.load(Ordering::Relaxed)
    }

    /// The store answered a request of this side.
    pub(crate) fn succeeded(&self, side: Side) {
        let circuit = self.circuit(side);
        // A load first: the flag's cache line stays shared among all readers.
        if circuit.open.load(Ordering::Relaxed) && circuit.open.swap(false, Ordering::Relaxed) {
            tracing::info!(?side, "the object store answers again");
            self.publish();
        }
    }

    /// A request of this side failed after all its retries.
    pub(crate) fn failed(&self, side: Side, error: &crate::Error) {
        if !self.circuit(side).open.swap(true, Ordering::Relaxed) {
            tracing::error!(?side, %error, "the object store does not answer");
            self.publish();
        }
        self.opened.notify_one();
    }

    /// Sets the gauge `postrider_blob_up`.
    pub(crate) fn publish(&self) {
        for (side, name) in [(Side::Read, "read"), (Side::Write, "write")] {
            gauge!("postrider_blob_up", "side" => name).set(f64::from(u8::from(self.is_up(side))));
        }
    }
}
