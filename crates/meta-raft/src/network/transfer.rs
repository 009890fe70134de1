//! How a whole snapshot comes to another member: as the name of an object that it
//! reads itself, or else part by part.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use openraft::errors::RPCError;
use openraft::raft::SnapshotResponse;
use postrider_rpc::proto;

use super::{Peer, Rpc, SnapshotOf, lost, refused};
use crate::convert;
use crate::raft::{TypeConfig, Vote};
use crate::snapshot::Stored;

/// Bytes of a part of a snapshot.
const PART: usize = 1 << 20;

impl Peer {
    /// Brings a snapshot to this member, and waits until it is installed there.
    pub(super) async fn deliver(
        &self,
        vote: &Vote,
        snapshot: &SnapshotOf,
    ) -> Rpc<SnapshotResponse<TypeConfig>> {
        // One from the object store costs this node nothing. It may hold more
        // than the one to send, never less: Raft counts on that.
        if let Some(object) = self.archived(snapshot).await {
            let head = head(vote, 0, &object);
            match self.send(stream::iter([head])).await {
                Err(RPCError::Unreachable(error)) => {
                    tracing::info!(node = self.id, %error, "sends a snapshot itself");
                }
                sent => return sent,
            }
        }
        let head = head(vote, snapshot.snapshot.bytes(), "");
        let parts = parts(snapshot.snapshot.clone());
        self.send(stream::iter([head]).chain(parts)).await
    }

    /// The object that holds at least what a snapshot does, if there is one.
    async fn archived(&self, snapshot: &SnapshotOf) -> Option<String> {
        match self.archive.as_ref()?.newest().await {
            Ok(newest) => newest
                .filter(|newest| Some(newest.id) >= snapshot.meta.last_log_id)
                .map(|newest| newest.key),
            Err(error) => {
                tracing::info!(%error, "sends a snapshot itself");
                None
            }
        }
    }

    /// Sends a snapshot, and waits until it is installed.
    async fn send(
        &self,
        parts: impl Stream<Item = proto::SnapshotPart> + Send + 'static,
    ) -> Rpc<SnapshotResponse<TypeConfig>> {
        let mut client = self.client(&self.bulk)?;
        let reply = client.snapshot(self.request(parts)).await.map_err(lost)?;
        let vote = convert::vote_in(reply.into_inner().vote).map_err(refused)?;
        Ok(SnapshotResponse::new(vote))
    }
}

fn head(vote: &Vote, length: u64, object: &str) -> proto::SnapshotPart {
    proto::SnapshotPart {
        head: Some(proto::SnapshotHead {
            vote: Some(convert::vote_out(vote)),
            length,
            object: object.to_owned(),
        }),
        data: Bytes::new(),
    }
}

/// The bytes of a snapshot, part by part.
fn parts(stored: Stored) -> impl Stream<Item = proto::SnapshotPart> + Send + use<> {
    stream::unfold((stored, 0), |(stored, offset)| async move {
        let length = (stored.bytes() - offset).min(PART as u64) as usize;
        if length == 0 {
            return None;
        }
        let file = Arc::clone(stored.file());
        let read = crate::blocking::run(move || {
            let mut data = vec![0; length];
            file.read_exact_at(&mut data, offset).map(|()| data)
        });
        // A file that cannot be read ends the stream early; the receiver notices.
        let data = read.await.ok()?.ok()?;
        let part = proto::SnapshotPart {
            head: None,
            data: data.into(),
        };
        Some((part, (stored, offset + length as u64)))
    })
}
