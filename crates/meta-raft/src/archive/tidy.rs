//! Keeps the archive small: puts small pieces of the log together, and removes what
//! has outlived its time. For one node of the cluster at a time; two at once waste
//! work and lose nothing, for a piece goes only once its entries lie in another.

use postrider_types::Millis;

use super::segment::Draft;
use super::writer::PIECE;
use super::{Archive, Piece, failed};
use crate::error::{Error, Result};
use crate::node::Node;

/// A piece that is shorter than this is small.
const SMALL: u64 = 1 << 20;
/// Pieces are put together when that makes so many objects fewer.
const WORTH: usize = 64;

/// Tidies the archive.
pub struct Tidier {
    archive: Archive,
    /// Up to this entry pieces hold as much as one may, however short they are.
    full: u64,
}

impl Node {
    /// Begins to tidy the archive; None for a node that has none.
    pub fn tidier(&self) -> Option<Tidier> {
        let archive = self.core().archive.clone()?;
        Some(Tidier { archive, full: 0 })
    }
}

impl Tidier {
    /// Puts small pieces that follow on each other together, if there are many. By how
    /// many objects there are fewer. Whenever it is dropped or fails, the archive is
    /// whole, and the next call goes on.
    pub async fn merge(&mut self) -> Result<u64> {
        let rows = self.archive.lineage().await?.rows(SMALL, self.full);
        let fewer: usize = rows.iter().map(|row| row.len() - 1).sum();
        if fewer < WORTH {
            return Ok(0);
        }
        let mut done = 0;
        for row in rows {
            done += self.merge_row(&row).await?;
        }
        tracing::info!(objects = done, "put small pieces of the log together");
        Ok(done)
    }

    /// Puts a row together, about as much in one piece as one may hold. A damaged piece
    /// stays where it is, for `verify` to tell of.
    async fn merge_row(&mut self, row: &[Piece]) -> Result<u64> {
        let mut fewer = 0;
        let mut rest = row;
        while let Some(first) = rest.first() {
            let mut draft = Draft::new(first.time);
            let mut next = first.first;
            let mut taken = 0;
            let mut damaged = 0;
            while let Some(piece) = rest.get(taken)
                && draft.bytes() < PIECE
            {
                // Two nodes may have put the same.
                if piece.last >= next {
                    let entries = match self.archive.entries(piece).await {
                        Ok(entries) => entries,
                        Err(error @ Error::Piece { .. }) => {
                            tracing::warn!(%error, "a piece of the log is left as it is");
                            damaged = 1;
                            break;
                        }
                        Err(error) => return Err(error),
                    };
                    for entry in entries.iter().filter(|it| it.log_id.index >= next) {
                        draft.add(entry).map_err(failed)?;
                    }
                    next = piece.last + 1;
                }
                taken += 1;
            }
            if draft.bytes() >= PIECE {
                self.full = next - 1;
            }
            fewer += self.exchange(draft, &rest[..taken]).await?;
            rest = &rest[taken + damaged..];
        }
        Ok(fewer)
    }

    /// Puts what was gathered in the place of `these`.
    async fn exchange(&self, draft: Draft, these: &[Piece]) -> Result<u64> {
        if these.len() < 2 {
            return Ok(0);
        }
        let merged = self.archive.put_draft(draft).await.1?;
        for piece in these {
            self.archive.remove(piece).await?;
        }
        tracing::debug!(
            first = merged.first,
            last = merged.last,
            bytes = merged.bytes,
            pieces = these.len(),
            "put pieces of the log together"
        );
        Ok(these.len() as u64 - 1)
    }

    /// Removes what is needed for no state since `cutoff`. How many objects.
    pub async fn prune(&self, cutoff: Millis) -> Result<u64> {
        let removed = self.archive.prune(cutoff).await?;
        if removed > 0 {
            tracing::info!(
                objects = removed,
                "removed from the archive what is too old"
            );
        }
        Ok(removed)
    }
}
