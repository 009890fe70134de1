//! Fills a gap in the archive from the log of a node that still has what is missing:
//! the one that archived died before it had put it, and the one that went on had it no
//! more. Two nodes at once waste room and break nothing.

use super::segment::Draft;
use super::writer::PIECE;
use super::{Archive, Gap, Lineage, failed};
use crate::error::Result;
use crate::log::Log;

impl Archive {
    /// Puts what is missing in `gap` of `lineage`. All of it must be committed.
    pub(crate) async fn fill(&self, gap: &Gap, lineage: &Lineage, log: &Log) -> Result<()> {
        let mut time = lineage.time_at(gap.after).unwrap_or_default();
        let mut next = gap.after + 1;
        while next <= gap.until {
            let entries = log.read(next, gap.until + 1, PIECE).await;
            let mut draft = Draft::new(time);
            for entry in entries.map_err(failed)? {
                next = entry.log_id.index + 1;
                draft.add(&entry).map_err(failed)?;
            }
            if draft.is_empty() {
                return Err(failed("the log was cut meanwhile"));
            }
            time = draft.time();
            self.put_draft(draft).await.1?;
        }
        tracing::info!(
            first = gap.after + 1,
            last = gap.until,
            "filled a gap in the archived log"
        );
        Ok(())
    }
}
