//! Who writes the log: a thread of its own, or, where all runs on one thread, whoever
//! calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

use super::shared::Shared;
use super::writer::Writer;
use crate::error::{Error, Result};

/// Who writes.
pub(super) enum Pen {
    /// A thread of its own.
    Thread(Mutex<Option<JoinHandle<()>>>),
    /// Tasks of a runtime that has one thread, and never two at once.
    Here(Arc<Desk>),
}

/// A writer that is used in place.
pub(super) struct Desk {
    /// None once the log is closed.
    writer: Mutex<Option<Writer>>,
    /// A task will take what is in the queue.
    called: AtomicBool,
}

impl Pen {
    /// Gives the writer its place.
    pub(super) fn new(writer: Writer, shared: &Shared) -> Result<Self> {
        if crate::blocking::in_place() {
            return Ok(Self::Here(Arc::new(Desk {
                writer: Mutex::new(Some(writer)),
                called: AtomicBool::new(false),
            })));
        }
        let thread = thread::Builder::new()
            .name("raft-log".into())
            .spawn(move || writer.run())
            .map_err(Error::io("cannot start a thread for", &shared.dir))?;
        Ok(Self::Thread(Mutex::new(Some(thread))))
    }

    /// Has what waits written.
    pub(super) fn wake(&self, shared: &Shared) {
        match self {
            Self::Thread(_) => {
                shared.wake.notify_one();
            }
            Self::Here(desk) => desk.call(),
        }
    }

    /// Ends, after what waits was written. Blocks.
    pub(super) fn end(&self) {
        match self {
            Self::Thread(thread) => {
                if let Some(thread) = thread.lock().take() {
                    // It does not panic; if it did, the log is as after a crash.
                    let _ = thread.join();
                }
            }
            Self::Here(desk) => {
                if let Some(writer) = desk.writer.lock().take() {
                    writer.run();
                }
            }
        }
    }
}

impl Desk {
    /// Has a task write what waits. A simulated disk takes its time before the
    /// bytes are durable and again before anybody is told.
    fn call(self: &Arc<Self>) {
        if self.called.swap(true, Ordering::AcqRel) {
            return;
        }
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                if let Some(time) = crate::simulation::disk() {
                    tokio::time::sleep(time).await;
                }
                let written = desk.writer.lock().as_mut().and_then(Writer::write_waiting);
                let Some(written) = written else {
                    desk.called.store(false, Ordering::Release);
                    return;
                };
                if let Some(time) = crate::simulation::disk() {
                    tokio::time::sleep(time).await;
                }
                written.tell();
            }
        });
    }
}
