//! The error table: what a call can end with, and the gRPC status it becomes.

use tonic::{Code, Status};

/// How a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Try again, here or elsewhere. Nothing is known about what was asked.
    #[error("{0}")]
    Unavailable(String),
    /// The other side is broken; trying again does not help.
    #[error("{0}")]
    Failed(String),
    /// The disks of those who could do it are nearly full.
    #[error("{0}")]
    Full(String),
    /// Only the leader does this; it is at this address, if known.
    #[error("this node is not the leader")]
    NotLeader(Option<String>),
    /// The other side does not understand the request: another version.
    #[error("{0}")]
    Unsupported(String),
    /// The calling node was removed from the cluster, for ever.
    #[error("this node was removed from the cluster: clear its data folder and join again")]
    Removed,
}

const LEADER: &str = "postrider-leader";
/// Says that the caller was removed.
const REMOVED: &str = "postrider-removed";
/// Says that a disk is full: a busy server ends calls with the same code.
const FULL: &str = "postrider-full";
/// Says that the other side itself gave up: a connection that breaks in the middle
/// of a call ends with the same code.
const FAILED: &str = "postrider-failed";

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(text) => Self::unavailable(text),
            Failure::Failed(text) => marked(Self::internal(text), FAILED),
            Failure::Full(text) => marked(Self::resource_exhausted(text), FULL),
            Failure::Unsupported(text) => Self::invalid_argument(text),
            Failure::Removed => marked(Self::permission_denied(failure.to_string()), REMOVED),
            Failure::NotLeader(leader) => {
                let mut status = Self::failed_precondition("this node is not the leader");
                if let Some(address) = leader.and_then(|leader| leader.parse().ok()) {
                    status.metadata_mut().insert(LEADER, address);
                }
                status
            }
        }
    }
}

fn marked(mut status: Status, mark: &'static str) -> Status {
    let yes = tonic::metadata::MetadataValue::from_static("true");
    status.metadata_mut().insert(mark, yes);
    status
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let text = status.message().to_owned();
        match status.code() {
            Code::PermissionDenied if status.metadata().contains_key(REMOVED) => Self::Removed,
            Code::Internal if status.metadata().contains_key(FAILED) => Self::Failed(text),
            Code::ResourceExhausted if status.metadata().contains_key(FULL) => Self::Full(text),
            Code::DataLoss | Code::PermissionDenied | Code::Unauthenticated => Self::Failed(text),
            Code::InvalidArgument | Code::Unimplemented | Code::OutOfRange => {
                Self::Unsupported(text)
            }
            Code::FailedPrecondition => {
                let leader = status.metadata().get(LEADER);
                Self::NotLeader(leader.and_then(|l| l.to_str().ok()).map(str::to_owned))
            }
            _ => Self::Unavailable(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_wire() {
        for failure in [
            Failure::Unavailable("no majority".into()),
            Failure::Failed("damaged".into()),
            Failure::Full("no room".into()),
            Failure::NotLeader(Some("10.0.0.1:7000".into())),
            Failure::NotLeader(None),
            Failure::Unsupported("version 9".into()),
            Failure::Removed,
        ] {
            assert_eq!(Failure::from(Status::from(failure.clone())), failure);
        }
    }

    #[test]
    fn a_deadline_or_a_lost_connection_means_try_again() {
        for status in [
            Status::deadline_exceeded("late"),
            Status::cancelled("gone"),
            Status::unknown("transport"),
            Status::resource_exhausted("busy"),
            Status::internal("h2 protocol error: http2 error"),
        ] {
            assert!(matches!(Failure::from(status), Failure::Unavailable(_)));
        }
    }
}
