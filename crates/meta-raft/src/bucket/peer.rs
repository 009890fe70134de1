//! The vote in the bucket as a leader and a candidate speak to it: entries in
//! groups, one write each; at once where it is needed for the majority, else once
//! a second and not at all while nothing happens but upkeep.

use std::future::Future;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, Stream, StreamExt};
use openraft::RaftNetworkV2;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError,
    StreamAppendResult, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use tokio::time::{Instant, sleep};

use super::{Bucket, HURRY, IDLE, Refused, size};
use crate::archive::matters;
use crate::network::{Rpc, SnapshotOf};
use crate::raft::{Entry, TypeConfig, Vote};
use crate::snapshot::Stored;

type Append = AppendEntriesRequest<TypeConfig>;
type Appended = StreamAppendResult<TypeConfig>;

/// No more bytes go into one write, but for one request.
const GROUP: usize = 16 << 20;
/// Upkeep (leases that were renewed, verdicts that were forgotten) waits this long for
/// something that matters, or for so many requests.
const QUIET: Duration = Duration::from_secs(600);
const MANY: usize = 256;
/// After an error, before the next try.
const PAUSE: Duration = Duration::from_millis(200);

/// The bucket, as this node's Raft speaks to it.
pub(crate) struct BucketPeer(pub(crate) Bucket);

fn unreachable(text: &str) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::from_string(text))
}

fn refusal(refused: Refused) -> StreamAppendError<TypeConfig> {
    match refused {
        Refused::HigherVote(vote) => StreamAppendError::HigherVote(vote),
        Refused::Conflict(id) => StreamAppendError::Conflict(id),
    }
}

/// The last entry in these requests; 0: there is none.
fn last_index(group: &[Append]) -> u64 {
    let last = group
        .iter()
        .rev()
        .find_map(|request| request.entries.last());
    last.map_or(0, |entry| entry.log_id.index)
}

/// Whether there is more in it than upkeep. A request without entries only tells what
/// is committed.
fn some_matters(request: &Append) -> bool {
    // What cannot be read is no reason to wait.
    let matters = |entry: &Entry| matters(entry).unwrap_or(true);
    request.entries.iter().any(matters)
}

impl Bucket {
    /// Answers a heartbeat, if only to those who need the answer.
    async fn heartbeat(&self, request: Append) -> Rpc<Appended> {
        let needed = self.voters().need_bucket();
        if !needed && self.silence().is_some_and(|silence| silence < IDLE) {
            return Err(unreachable("it is not needed now"));
        }
        if !needed {
            // Others who count on it are not told: only that it answers is of interest.
            let _ = self.record().await;
            return Err(unreachable("it is not needed now"));
        }
        let beat = Some(self.0.patience / 3);
        let confirmed = self.confirm(request.vote, request.prev_log_id, beat).await;
        let confirmed = confirmed.map_err(|text| unreachable(&text))?;
        Ok(confirmed.map(|()| request.prev_log_id).map_err(refusal))
    }

    /// Takes further requests while there is nothing but upkeep in the group: it can
    /// wait for something that matters as long as the nodes do without the bucket.
    async fn wait_for_more<S>(&self, group: &mut Vec<Append>, input: &mut S)
    where
        S: Stream<Item = Append> + Send + Unpin,
    {
        let began = Instant::now();
        let mut came = began;
        let mut matters = group.iter().any(some_matters);
        while !matters && group.len() < MANY {
            let late = came.elapsed() >= HURRY && !self.voters().have(last_index(group));
            if began.elapsed() >= QUIET
                || late
                || self.voters().need_bucket()
                || !self.voters().has_bucket()
            {
                return;
            }
            tokio::select! {
                next = input.next() => match next {
                    Some(next) => {
                        matters = some_matters(&next);
                        if !next.entries.is_empty() {
                            came = Instant::now();
                        }
                        group.push(next);
                    }
                    None => return,
                },
                () = sleep(HURRY) => {}
            }
        }
    }

    /// The next requests that may go into one write. `first`: of a stream, which finds
    /// out what the bucket has and is to be answered before there are others.
    async fn gather<S>(&self, input: &mut S, first: bool) -> Option<Vec<Append>>
    where
        S: Stream<Item = Append> + Send + Unpin,
    {
        let mut group = vec![input.next().await?];
        if !first {
            self.wait_for_more(&mut group, input).await;
        }
        self.wait_for_turn(last_index(&group)).await;
        let bytes = |request: &Append| request.entries.iter().map(size).sum::<usize>();
        let mut sum: usize = group.iter().map(bytes).sum();
        while sum < GROUP
            && let Some(Some(next)) = input.next().now_or_never()
        {
            sum += bytes(&next);
            group.push(next);
        }
        Some(group)
    }

    /// Takes a group of requests. What each is answered; the first that is not
    /// taken is the last.
    async fn take(&self, group: Vec<Append>) -> Vec<Rpc<Appended>> {
        let mut answers = Vec::with_capacity(group.len());
        let mut left = group.into_iter().peekable();
        while let Some(first) = left.next() {
            let (vote, previous) = (first.vote, first.prev_log_id);
            let mut committed = first.leader_commit;
            let mut lasts = vec![first.entries.last().map(|e| e.log_id).or(previous)];
            let mut entries = first.entries;
            // Those that follow on each other are one.
            while let Some(next) =
                left.next_if(|next| next.vote == vote && Some(&next.prev_log_id) == lasts.last())
            {
                committed = committed.max(next.leader_commit);
                lasts.push(next.entries.last().map(|e| e.log_id).or(next.prev_log_id));
                entries.extend(next.entries);
            }
            match self.append(vote, previous, &entries, committed).await {
                Ok(Ok(())) => answers.extend(lasts.into_iter().map(|last| Ok(Ok(last)))),
                Ok(Err(refused)) => {
                    answers.push(Ok(Err(refusal(refused))));
                    break;
                }
                Err(text) => {
                    sleep(PAUSE).await;
                    answers.push(Err(unreachable(&text)));
                    break;
                }
            }
        }
        answers
    }
}

impl RaftNetworkV2<TypeConfig> for BucketPeer {
    type SnapshotData = Stored;

    async fn append_entries(
        &mut self,
        request: Append,
        _: RPCOption,
    ) -> Rpc<AppendEntriesResponse<TypeConfig>> {
        let mut answers = self.0.take(vec![request]).await;
        let nothing = || Err(unreachable("there is no answer"));
        Ok(match answers.pop().unwrap_or_else(nothing)? {
            Ok(_) => AppendEntriesResponse::Success,
            other => other.into(),
        })
    }

    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        _: RPCOption,
    ) -> BoxFuture<'s, Rpc<BoxStream<'s, Rpc<Appended>>>>
    where
        S: Stream<Item = Append> + Send + Unpin + 'static,
    {
        let bucket = self.0.clone();
        // A heartbeat is a stream of one; the pipeline's length is not known.
        let heartbeat = input.size_hint() == (1, Some(1));
        let call = async move {
            if heartbeat {
                let request = input.next().await;
                let request = request.ok_or_else(|| unreachable("an empty stream"))?;
                let answer = bucket.heartbeat(request).await?;
                return Ok(stream::iter([Ok(answer)]).boxed());
            }
            let begin = Some((input.fuse(), true));
            let groups = stream::unfold(begin, move |state| {
                let bucket = bucket.clone();
                async move {
                    let (mut input, first) = state?;
                    let group = bucket.gather(&mut input, first).await?;
                    let answers = bucket.take(group).await;
                    let taken = matches!(answers.last(), Some(Ok(Ok(_))));
                    Some((stream::iter(answers), taken.then_some((input, false))))
                }
            });
            Ok(groups.flatten().boxed())
        };
        Box::pin(call)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        _: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        let voted = self.0.vote(&request, false).await;
        voted.map_err(|text| unreachable(&text))
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        _: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        let voted = self.0.vote(&request, true).await;
        voted.map_err(|text| unreachable(&text))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let deliver = async {
            let failed = |error: &dyn std::fmt::Display| unreachable(&error.to_string());
            let archive = &self.0.0.archive;
            let least = snapshot.meta.last_log_id;
            let newest = archive.newest().await.map_err(|error| failed(&error))?;
            let id = match newest.map(|newest| newest.id) {
                Some(id) if Some(id) >= least => id,
                _ => {
                    let stored = &snapshot.snapshot;
                    let upload = archive.upload(stored).await;
                    upload.map_err(|error| failed(&error))?;
                    least.ok_or_else(|| unreachable("the snapshot is empty"))?
                }
            };
            let taken = self.0.rebase(vote, id).await;
            Ok(match taken.map_err(|text| unreachable(&text))? {
                Err(Refused::HigherVote(higher)) => SnapshotResponse::new(higher),
                _ => SnapshotResponse::new(vote),
            })
        };
        tokio::select! {
            sent = deliver => sent.map_err(|error: RPCError<TypeConfig>| error.into()),
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        _: TransferLeaderRequest<TypeConfig>,
        _: RPCOption,
    ) -> Rpc<TransferLeaderResponse<TypeConfig>> {
        let text = "the vote in the bucket does not lead";
        Err(RPCError::Network(NetworkError::from_string(text)))
    }
}
