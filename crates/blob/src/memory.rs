//! The memory that uploads share for the parts which they gather: who holds what of
//! it, and who must give it back while others wait. Asks nothing of the object store.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Error, Settings};

/// An upload that took nothing for so long is given up if another one needs its
/// memory. Bodies come in blocks of 64 KiB: a sender of 13 kB a second is safe.
const STALLED: Duration = Duration::from_secs(5);
/// How often one that waits looks for such uploads.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// The memory of all uploads.
pub(crate) struct Memory {
    /// All but the reserve, in bytes.
    shared: Arc<Semaphore>,
    /// The memory of one part, for one upload at a time.
    reserve: Arc<Semaphore>,
    /// How long an upload waits for memory.
    wait: Duration,
    /// The parts that have begun, by the number of their upload.
    parts: Mutex<HashMap<u64, Gathered>>,
    next: AtomicU64,
}

/// What has come of a part, and what of the memory it holds.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) pieces: Vec<Bytes>,
    shared: Option<OwnedSemaphorePermit>,
    /// The reserve, if the rest of this part is taken from it.
    reserve: Option<OwnedSemaphorePermit>,
    /// When the last piece came; None while one waits for memory.
    idle_since: Option<Instant>,
}

/// What a piece may use.
enum Claim {
    Shared(OwnedSemaphorePermit),
    Reserve(OwnedSemaphorePermit),
    /// The part has the reserve already.
    Held,
}

impl Memory {
    pub(crate) fn new(settings: &Settings) -> Arc<Self> {
        let shared = settings.upload_memory.saturating_sub(settings.part_size);
        let shared = usize::try_from(shared).unwrap_or(usize::MAX);
        Arc::new(Self {
            shared: Arc::new(Semaphore::new(shared.min(Semaphore::MAX_PERMITS))),
            reserve: Arc::new(Semaphore::new(1)),
            wait: settings.deadline,
            parts: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    /// Waits for the memory of a piece. Uploads hold some while they wait for more, so
    /// one of them may always fill its part from the reserve, and gives back all it has.
    async fn claim(&self, length: usize) -> Result<Claim, Error> {
        let wanted = u32::try_from(length).expect("a piece is not larger than a part");
        let (shared, reserve) = (self.shared.clone(), self.reserve.clone());
        let claim = async {
            tokio::select! {
                biased;
                permit = shared.acquire_many_owned(wanted) => permit.map(Claim::Shared),
                permit = reserve.acquire_owned() => permit.map(Claim::Reserve),
            }
        };
        tokio::pin!(claim);
        let end = Instant::now() + self.wait;
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                claim = &mut claim => return Ok(claim.expect("the semaphores are never closed")),
                () = sleep_until(end) => {
                    return Err(Error::Crowded(format!(
                        "none of blob.upload_memory came free within {} s; if that \
                         happens often, raise it",
                        self.wait.as_secs(),
                    )));
                }
                () = sleep(pause) => self.give_up_stalled(),
            }
            pause = LOOK_PAUSE;
        }
    }

    /// Takes its memory from the upload that has stalled longest, if one has.
    fn give_up_stalled(&self) {
        let mut parts = self.parts.lock();
        let idle = |part: &Gathered| part.idle_since.map(|since| since.elapsed());
        let longest = parts
            .iter()
            .filter_map(|(number, part)| Some((idle(part)?, *number)))
            .max();
        let Some((idle, number)) = longest.filter(|(idle, _)| *idle >= STALLED) else {
            return;
        };
        if let Some(part) = parts.remove(&number) {
            let bytes: usize = part.pieces.iter().map(Bytes::len).sum();
            tracing::info!(
                bytes,
                seconds = idle.as_secs(),
                "gave up a large upload whose sender stalled: others wait for blob.upload_memory"
            );
        }
    }
}

/// The part that an upload gathers.
pub(crate) struct Part {
    memory: Arc<Memory>,
    number: u64,
    length: usize,
}

impl Part {
    pub(crate) fn new(memory: Arc<Memory>) -> Self {
        let number = memory.next.fetch_add(1, Ordering::Relaxed);
        Self {
            memory,
            number,
            length: 0,
        }
    }

    /// Bytes gathered.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Adds a piece as soon as there is memory for it. [`Error::Crowded`] if there is
    /// none for too long, or if the part has been given up for others.
    pub(crate) async fn add(&mut self, piece: Bytes) -> Result<(), Error> {
        let claim = if self.begin_wait()? {
            Claim::Held
        } else {
            self.memory.claim(piece.len()).await?
        };
        let mut parts = self.memory.parts.lock();
        let part = parts.entry(self.number).or_default();
        match claim {
            Claim::Shared(permit) => match &mut part.shared {
                Some(held) => held.merge(permit),
                none => *none = Some(permit),
            },
            Claim::Reserve(permit) => part.reserve = Some(permit),
            Claim::Held => {}
        }
        self.length += piece.len();
        part.pieces.push(piece);
        part.idle_since = Some(Instant::now());
        Ok(())
    }

    /// From now on the part is not given up. Whether it has the reserve.
    fn begin_wait(&self) -> Result<bool, Error> {
        match self.memory.parts.lock().get_mut(&self.number) {
            Some(part) => {
                part.idle_since = None;
                Ok(part.reserve.is_some())
            }
            None if self.length > 0 => Err(given_up()),
            None => Ok(false),
        }
    }

    /// Takes out what was gathered; the next part begins. The memory is held as long
    /// as what is returned.
    pub(crate) fn take(&mut self) -> Result<Gathered, Error> {
        let gathered = self.memory.parts.lock().remove(&self.number);
        if gathered.is_none() && self.length > 0 {
            return Err(given_up());
        }
        self.length = 0;
        Ok(gathered.unwrap_or_default())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.memory.parts.lock().remove(&self.number);
    }
}

fn given_up() -> Error {
    Error::Crowded("its sender stalled while others waited for blob.upload_memory".into())
}
