//! The queue in front of the sequencer: bounds the memory of all commands that a
//! node holds, those that still wait for room in it too. Orders nothing but by
//! arrival, and looks into no command but for its size.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use postrider_meta::command::{Accept, Append, SettleQueued, Success};
use postrider_meta::{Command, Content, Error, Executed, NewBody, NewDestination, NewQueued};
use postrider_types::CommandId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// The queue in front of the sequencer.
pub(crate) struct Queue {
    /// None once closed.
    sender: Mutex<Option<mpsc::Sender<Waiting>>>,
    /// In KiB.
    room: Arc<Semaphore>,
    room_total: usize,
    /// KiB of those that wait for room.
    wanted: AtomicUsize,
}

/// Room for one command. Clones share it; it is free once the last one is gone.
pub(crate) type Room = Arc<OwnedSemaphorePermit>;

/// A command in the queue.
pub(crate) struct Waiting {
    pub(crate) id: CommandId,
    pub(crate) command: Command,
    /// About what it brings along.
    pub(crate) bytes: usize,
    pub(crate) reply: oneshot::Sender<Result<Executed, Error>>,
    /// Held until it is answered.
    pub(crate) room: Room,
}

impl Queue {
    /// A queue for so many commands and bytes, and its other end.
    pub(crate) fn new(commands: usize, bytes: usize) -> (Self, Receiver) {
        let (sender, receiver) = mpsc::channel(commands);
        let kib = (bytes >> 10).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let queue = Self {
            sender: Mutex::new(Some(sender)),
            room: Arc::new(Semaphore::new(kib)),
            room_total: kib,
            wanted: AtomicUsize::new(0),
        };
        (queue, Receiver(receiver))
    }

    /// Commands that wait.
    pub(crate) fn length(&self) -> usize {
        let sender = self.sender.lock();
        sender
            .as_ref()
            .map_or(0, |s| s.max_capacity() - s.capacity())
    }

    /// No more commands; those that wait are still executed.
    pub(crate) fn close(&self) {
        self.room.close();
        self.sender.lock().take();
    }

    /// Room for a command of about so many bytes, before `deadline`. Refused at
    /// once where as much as the queue holds waits for room already: whoever
    /// waits keeps its command in memory meanwhile.
    pub(crate) async fn reserve(&self, bytes: usize, deadline: Instant) -> Result<Room, Error> {
        let kib = (bytes >> 10).saturating_add(1).min(self.room_total);
        let room = Arc::clone(&self.room);
        // Whoever waits already goes first.
        if self.wanted.load(Ordering::Relaxed) == 0
            && let Ok(room) = room.clone().try_acquire_many_owned(kib as u32)
        {
            return Ok(Arc::new(room));
        }
        let _wanted = Wanted::add(&self.wanted, kib, self.room_total).ok_or_else(crowded)?;
        let room = timeout_at(deadline, room.acquire_many_owned(kib as u32)).await;
        let room = room.map_err(|_| crowded())?.map_err(|_| stopped())?;
        Ok(Arc::new(room))
    }

    /// Executes a command, or gives up at `deadline`: then it may still be
    /// executed later. It takes room of its own where it brings none.
    pub(crate) async fn execute(
        &self,
        id: CommandId,
        command: Command,
        room: Option<Room>,
        deadline: Instant,
    ) -> Result<Executed, Error> {
        let bytes = weight(&command);
        let room = match room {
            Some(room) => room,
            None => self.reserve(bytes, deadline).await?,
        };
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting {
            id,
            command,
            bytes,
            reply,
            room,
        };
        let sender = self.sender.lock().clone().ok_or_else(stopped)?;
        timeout_at(deadline, sender.send(waiting))
            .await
            .map_err(|_| crowded())?
            .map_err(|_| stopped())?;
        drop(sender);
        let late = |_| Error::Unavailable("the command was not committed in time".into());
        timeout_at(deadline, answer)
            .await
            .map_err(late)?
            .map_err(|_| stopped())?
    }
}

fn stopped() -> Error {
    Error::Unavailable("the metadata node is shutting down".into())
}

fn crowded() -> Error {
    Error::Unavailable("too many commands wait: none was begun in time".into())
}

/// Somebody who waits for room: counted until dropped.
struct Wanted<'a>(&'a AtomicUsize, usize);

impl<'a> Wanted<'a> {
    /// None where that would be more than `most`.
    fn add(all: &'a AtomicUsize, kib: usize, most: usize) -> Option<Self> {
        let more = |wanted: usize| wanted.checked_add(kib).filter(|sum| *sum <= most);
        all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Self(all, kib))
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// About the bytes that a command brings along.
fn weight(command: &Command) -> usize {
    let body = |body: &NewBody| {
        let content = match &body.content {
            Content::Inline(bytes) => bytes.len(),
            Content::Object { .. } => 64,
        };
        content + body.summary.len() + 128
    };
    let accept = |accept: &Accept| {
        let prefixes: usize = accept.deliveries.iter().map(|d| d.prefix.len() + 256).sum();
        body(&accept.body) + prefixes + accept.queued.as_ref().map_or(0, queued)
    };
    match command {
        Command::Accept(command) => {
            let notices = command.notices.iter();
            let notice = |it: &Success| accept(&it.accept) + 4 * it.deliveries.len();
            accept(command) + notices.map(notice).sum::<usize>()
        }
        Command::SettleQueued(SettleQueued { notices, .. }) => {
            let notices: usize = notices.iter().map(|notice| accept(&notice.accept)).sum();
            512 + notices
        }
        Command::Append(Append { messages, .. }) => {
            messages.iter().map(|message| body(&message.body)).sum()
        }
        _ => 512,
    }
}

/// About the bytes that entries of the outbound queue occupy: each has the prefix.
fn queued(new: &NewQueued) -> usize {
    let entry = |destination: &NewDestination| {
        let recipients = destination.recipients.iter().map(|r| r.address.len() + 128);
        let seal = destination.seal.as_ref();
        let seal = seal.map_or(0, |seal| seal.helo.len() + seal.came_from.len() + 128);
        let prefix = destination
            .list
            .as_ref()
            .map_or(&new.prefix, |it| &it.prefix);
        prefix.len() + seal + 512 + recipients.sum::<usize>()
    };
    new.destinations.iter().map(entry).sum()
}

/// The sequencer's end of the queue.
pub(crate) struct Receiver(mpsc::Receiver<Waiting>);

impl Receiver {
    /// The next command; None once the queue is closed and empty.
    pub(crate) async fn recv(&mut self) -> Option<Waiting> {
        self.0.recv().await
    }

    /// The next command, if there is one.
    pub(crate) fn try_recv(&mut self) -> Option<Waiting> {
        self.0.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    const KIB: usize = 1 << 10;

    #[tokio::test]
    async fn who_waits_for_room_is_counted_and_nobody_waits_without_bound() {
        let (queue, _receiver) = Queue::new(16, 64 * KIB);
        let deadline = Instant::now() + Duration::from_secs(60);
        // Larger than the queue: it gets all of it.
        let all = queue.reserve(1 << 30, deadline).await.unwrap();
        let mut waits = Box::pin(queue.reserve(40 * KIB, deadline));
        assert!(waits.as_mut().now_or_never().is_none());
        // As much as the queue holds would wait: this one is told at once.
        let refused = queue.reserve(40 * KIB, deadline).now_or_never();
        assert!(matches!(refused, Some(Err(Error::Unavailable(_)))));
        let mut small = Box::pin(queue.reserve(10 * KIB, deadline));
        assert!(small.as_mut().now_or_never().is_none());
        // Whoever gives up is counted no more.
        drop(small);
        let mut other = Box::pin(queue.reserve(20 * KIB, deadline));
        assert!(other.as_mut().now_or_never().is_none());
        // Room that is shared is free once both have let go of it.
        let again = Arc::clone(&all);
        drop(all);
        assert!(waits.as_mut().now_or_never().is_none());
        drop(again);
        waits.await.unwrap();
        other.await.unwrap();
        let room = queue.reserve(40 * KIB, deadline).await;
        assert!(room.is_ok());
    }
}
