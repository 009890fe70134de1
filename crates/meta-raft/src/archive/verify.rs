//! Looks whether an archive is whole, some objects at a time: each snapshot and each
//! piece of the log as it was written, and no entry missing between them. Changes
//! nothing.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Archive, Archived, Lineage, PART, failed};
use crate::error::{Error, Result};
use crate::raft::LogId;
use crate::snapshot;

/// Parts of a snapshot that wait to be looked at.
const AHEAD: usize = 2;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Each difference in words, with the object that it is about.
    pub problems: Vec<String>,
    /// Objects that were looked at.
    pub checked: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Where to go on; None at the end.
    pub next: Option<String>,
}

impl Archive {
    /// Looks at the objects behind `after` for about `time`, at least at one.
    /// `quick`: at their names alone, which tell of gaps.
    pub async fn verify(
        &self,
        after: Option<&str>,
        quick: bool,
        time: Duration,
    ) -> Result<Verified> {
        let lineage = self.lineage().await?;
        let mut found = Verified::default();
        if after.is_none() {
            found.problems = gaps(&lineage);
            // Pieces may have been put together while they were listed.
            if !found.problems.is_empty() {
                found.problems = gaps(&self.lineage().await?);
            }
        }
        if quick {
            let (snapshots, pieces) = lineage.counts();
            found.checked = (snapshots + pieces) as u64;
            return Ok(found);
        }
        let end = Instant::now() + time;
        let behind = |place: &str| after.is_none_or(|after| place > after);
        // A snapshot's place sorts before that of any piece.
        for snapshot in &lineage.snapshots {
            let place = format!("a{:020}", snapshot.id.index);
            if !behind(&place) {
                continue;
            }
            let looked = self.snapshot(snapshot).await;
            self.tell(looked, snapshot.bytes, &mut found).await?;
            if Instant::now() >= end {
                found.next = Some(place);
                return Ok(found);
            }
        }
        for piece in &lineage.pieces {
            let place = format!(
                "b{:020}-{:020}-{:016x}",
                piece.first, piece.last, piece.salt
            );
            if !behind(&place) {
                continue;
            }
            let looked = self.entries(piece).await.map(drop);
            self.tell(looked, piece.bytes, &mut found).await?;
            if Instant::now() >= end {
                found.next = Some(place);
                return Ok(found);
            }
        }
        Ok(found)
    }

    /// Notes what was found of an object, if it is there still.
    async fn tell(&self, looked: Result<()>, bytes: u64, found: &mut Verified) -> Result<()> {
        found.checked += 1;
        found.bytes += bytes;
        let (key, reason) = match looked {
            Ok(()) => return Ok(()),
            Err(Error::Piece { key, reason }) => (key, reason),
            Err(error) => return Err(error),
        };
        match self.store.size(&key).await {
            // Outlived meanwhile.
            Err(postrider_blob::Error::NotFound(_)) => Ok(()),
            Err(error) => Err(failed(error)),
            Ok(_) => {
                found.problems.push(format!("object {key}: {reason}"));
                Ok(())
            }
        }
    }

    /// Reads a snapshot and checks all of it, a few parts in memory.
    async fn snapshot(&self, archived: &Archived) -> Result<()> {
        let damaged = |reason: String| Error::Piece {
            key: archived.key.clone(),
            reason,
        };
        let (sender, reading) = check();
        let mut offset = 0;
        while offset < archived.bytes {
            let end = (offset + PART).min(archived.bytes);
            let part = match self.store.get_once(&archived.key, offset..end).await {
                Ok(part) => part,
                Err(error @ postrider_blob::Error::Unavailable(_)) => return Err(failed(error)),
                Err(error) => return Err(damaged(error.to_string())),
            };
            // Whoever reads it has found enough.
            if sender.send(part).await.is_err() {
                break;
            }
            offset = end;
        }
        drop(sender);
        let read = reading.await.map_err(failed)?;
        let id = read.map_err(|error| damaged(error.to_string()))?;
        match id == Some(archived.id) {
            true => Ok(()),
            false => Err(damaged("it holds another entry than its name says".into())),
        }
    }
}

/// Checks the snapshot that is sent to it in parts. The last entry in it.
pub(super) fn check() -> (mpsc::Sender<Bytes>, JoinHandle<io::Result<Option<LogId>>>) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let parts = Parts {
        receiver,
        current: Bytes::new(),
    };
    let reading = tokio::task::spawn_blocking(move || snapshot::check(parts));
    (sender, reading)
}

/// Where entries are missing, in words.
fn gaps(lineage: &Lineage) -> Vec<String> {
    let gaps = lineage.gaps();
    let text = |gap: &super::Gap| {
        format!(
            "the archived log lacks entries {} to {}: no moment between them can be recovered",
            gap.after + 1,
            gap.until.saturating_sub(1).max(gap.after + 1)
        )
    };
    let mut problems: Vec<String> = gaps.iter().map(text).collect();
    if !lineage.is_of_use() {
        problems.push("the archive holds no snapshot: nothing can be recovered from it".into());
    }
    problems
}

/// Parts that come from elsewhere, as something to read. Blocks.
struct Parts {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for Parts {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(next) => self.current = next,
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.current.len());
        self.current.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}
