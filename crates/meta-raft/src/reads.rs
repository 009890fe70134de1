//! Linearizable reads: an index such that a state that has applied it includes
//! all that anybody was told before. Reads that wait at the same time share one
//! round (ReadIndex, Raft §6.4); during an election they wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use openraft::raft::ReadPolicy;
use postrider_meta::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::forward;
use crate::leader::Core;

type Reply = oneshot::Sender<Result<u64, Error>>;

/// Asks for read indexes.
pub(crate) struct Reads {
    sender: mpsc::UnboundedSender<Reply>,
}

impl Reads {
    /// The asking end, and the task that answers.
    pub(crate) fn new(core: Arc<Core>) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender }, serve(core, receiver))
    }

    /// An index that a read from now on must have applied. The caller sets the
    /// time limit.
    pub(crate) async fn index(&self) -> Result<u64, Error> {
        let (reply, answer) = oneshot::channel();
        let stopped = || Error::Unavailable("the metadata node is shutting down".into());
        self.sender.send(reply).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

/// One round after the other; each serves all who came before it began.
async fn serve(core: Arc<Core>, mut receiver: mpsc::UnboundedReceiver<Reply>) {
    let mut waiting = Vec::new();
    while receiver.recv_many(&mut waiting, 4096).await > 0 {
        let deadline = Instant::now() + core.timeout;
        let index = forward::read_index(&core, deadline, || own_index(&core)).await;
        for reply in waiting.drain(..) {
            // Who asked may have gone.
            let _ = reply.send(index.clone());
        }
    }
}

/// The read index, as leader.
pub(crate) async fn own_index(core: &Core) -> Result<u64, Error> {
    // Who hands over may be followed by another before its lease has run out.
    if core.lease_reads
        && !core.handing_over.load(Ordering::SeqCst)
        && let Ok(read) = core.raft.get_read_linearizer(ReadPolicy::LeaseRead).await
    {
        return Ok(read.read_log_id().index());
    }
    match core.raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
        Ok(read) => Ok(read.read_log_id().index()),
        Err(error) => Err(Error::Unavailable(error.to_string())),
    }
}
