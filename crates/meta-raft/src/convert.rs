//! Between openraft's messages and the protocol's. Nothing from the network is
//! trusted to be complete.

use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};
use postrider_rpc::{Failure, proto};

use crate::batch::Batch;
use crate::raft::{Entry, LogId, Payload, TypeConfig, Vote, log_id, term};

fn incomplete(what: &str) -> Failure {
    Failure::Unsupported(format!("the message has no {what}"))
}

pub(crate) fn vote_out(vote: &Vote) -> proto::VoteState {
    proto::VoteState {
        term: vote.leader_id.term,
        node: vote.leader_id.voted_for,
        committed: vote.committed,
    }
}

pub(crate) fn vote_in(vote: Option<proto::VoteState>) -> Result<Vote, Failure> {
    let vote = vote.ok_or_else(|| incomplete("vote"))?;
    Ok(if vote.committed {
        Vote::new_committed(vote.term, vote.node)
    } else {
        Vote::new(vote.term, vote.node)
    })
}

pub(crate) fn id_out(id: &LogId) -> proto::LogId {
    proto::LogId {
        term: term(id),
        index: id.index,
    }
}

pub(crate) fn id_in(id: proto::LogId) -> LogId {
    log_id(id.term, id.index)
}

fn entry_out(entry: Entry) -> Result<proto::Entry, Failure> {
    let payload = match entry.payload {
        Payload::Blank => None,
        Payload::Normal(batch) => Some(proto::entry::Payload::Batch(batch.bytes().clone())),
        Payload::Membership(membership) => {
            let bytes = rmp_serde::to_vec_named(&membership)
                .map_err(|error| Failure::Failed(error.to_string()))?;
            Some(proto::entry::Payload::Membership(bytes.into()))
        }
    };
    Ok(proto::Entry {
        id: Some(id_out(&entry.log_id)),
        payload,
    })
}

fn entry_in(entry: proto::Entry) -> Result<Entry, Failure> {
    let id = entry.id.ok_or_else(|| incomplete("entry id"))?;
    let payload = match entry.payload {
        None => Payload::Blank,
        Some(proto::entry::Payload::Batch(bytes)) => Payload::Normal(Batch::from_bytes(bytes)),
        Some(proto::entry::Payload::Membership(bytes)) => rmp_serde::from_slice(&bytes)
            .map(Payload::Membership)
            .map_err(|error| Failure::Unsupported(format!("unreadable membership: {error}")))?,
    };
    Ok(Entry {
        log_id: id_in(id),
        payload,
    })
}

/// A request; `lacks`: the receiver lacks what it has acknowledged.
pub(crate) fn append_out(
    request: AppendEntriesRequest<TypeConfig>,
    lacks: bool,
) -> Result<proto::AppendRequest, Failure> {
    Ok(proto::AppendRequest {
        lacks,
        vote: Some(vote_out(&request.vote)),
        previous: request.prev_log_id.as_ref().map(id_out),
        committed: request.leader_commit.as_ref().map(id_out),
        entries: request
            .entries
            .into_iter()
            .map(entry_out)
            .collect::<Result<_, _>>()?,
    })
}

pub(crate) fn append_in(
    request: proto::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, Failure> {
    Ok(AppendEntriesRequest {
        vote: vote_in(request.vote)?,
        prev_log_id: request.previous.map(id_in),
        leader_commit: request.committed.map(id_in),
        entries: request
            .entries
            .into_iter()
            .map(entry_in)
            .collect::<Result<_, _>>()?,
    })
}

pub(crate) fn appended_out(result: StreamAppendResult<TypeConfig>) -> proto::AppendReply {
    use proto::append_reply::Outcome;
    let outcome = match result {
        Ok(id) => Outcome::Matched(proto::Matched {
            id: id.as_ref().map(id_out),
        }),
        Err(StreamAppendError::Conflict(id)) => Outcome::Conflict(id_out(&id)),
        Err(StreamAppendError::HigherVote(vote)) => Outcome::HigherVote(vote_out(&vote)),
    };
    proto::AppendReply {
        outcome: Some(outcome),
    }
}

pub(crate) fn appended_in(
    reply: proto::AppendReply,
) -> Result<StreamAppendResult<TypeConfig>, Failure> {
    use proto::append_reply::Outcome;
    Ok(match reply.outcome.ok_or_else(|| incomplete("outcome"))? {
        Outcome::Matched(matched) => Ok(matched.id.map(id_in)),
        Outcome::Conflict(id) => Err(StreamAppendError::Conflict(id_in(id))),
        Outcome::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote_in(Some(vote))?)),
    })
}

pub(crate) fn ballot_out(request: &VoteRequest<TypeConfig>) -> proto::VoteRequest {
    proto::VoteRequest {
        vote: Some(vote_out(&request.vote)),
        last: request.last_log_id.as_ref().map(id_out),
        leadership_transfer: request.leadership_transfer,
    }
}

pub(crate) fn ballot_in(request: proto::VoteRequest) -> Result<VoteRequest<TypeConfig>, Failure> {
    Ok(VoteRequest {
        vote: vote_in(request.vote)?,
        last_log_id: request.last.map(id_in),
        leadership_transfer: request.leadership_transfer,
    })
}

pub(crate) fn voted_out(reply: &VoteResponse<TypeConfig>) -> proto::VoteReply {
    proto::VoteReply {
        vote: Some(vote_out(&reply.vote)),
        granted: reply.vote_granted,
        last: reply.last_log_id.as_ref().map(id_out),
    }
}

pub(crate) fn voted_in(reply: proto::VoteReply) -> Result<VoteResponse<TypeConfig>, Failure> {
    Ok(VoteResponse {
        vote: vote_in(reply.vote)?,
        vote_granted: reply.granted,
        last_log_id: reply.last.map(id_in),
    })
}

pub(crate) fn transfer_out(
    request: &TransferLeaderRequest<TypeConfig>,
) -> proto::TransferLeaderRequest {
    proto::TransferLeaderRequest {
        from: Some(vote_out(request.from_leader())),
        to: *request.to_node_id(),
        last: request.last_log_id().map(id_out),
    }
}

pub(crate) fn transfer_in(
    request: proto::TransferLeaderRequest,
) -> Result<TransferLeaderRequest<TypeConfig>, Failure> {
    let from = vote_in(request.from)?;
    Ok(TransferLeaderRequest::new(
        from,
        request.to,
        request.last.map(id_in),
    ))
}
