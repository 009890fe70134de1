//! How the bucket takes entries: the last ones in the record itself, and objects with
//! older ones, which are put before the record names them.

use tokio::time::Instant;

use super::record::{Refused, Segment};
use super::{Bucket, LAG, TRIES, Unanswered, segment};
use crate::raft::{Entry, LogId, Vote};

/// Entries of more bytes go into an object of their own.
const TAIL: usize = 128 << 10;

/// An object with entries that no record names yet.
struct Spill {
    segment: Segment,
    ids: Vec<LogId>,
}

impl Spill {
    /// Whether it holds exactly these. The same id is the same entry.
    fn holds(&self, entries: &[Entry]) -> bool {
        self.ids
            .iter()
            .eq(entries.iter().map(|entry| &entry.log_id))
    }
}

impl Bucket {
    /// Takes entries from a leader.
    pub(crate) async fn append(
        &self,
        vote: Vote,
        previous: Option<LogId>,
        entries: &[Entry],
        committed: Option<LogId>,
    ) -> Result<Result<(), Refused>, Unanswered> {
        let _naming = self.0.naming.lock().await;
        let mut spilled: Option<Spill> = None;
        for _ in 0..TRIES {
            let mut known = self.0.known.lock().await;
            let remembered = known.is_some();
            let at = match &*known {
                Some(at) => at.clone(),
                None => self.look_again(&mut known).await?,
            };
            let mut next = at.record.clone();
            let taken = next.append(vote, previous, entries.to_vec(), committed);
            if remembered && (taken.is_err() || next == at.record) {
                // Every answer also tells whether somebody else was voted for until
                // now, which memory does not know.
                *known = None;
                continue;
            }
            if next == at.record {
                return Ok(taken);
            }
            if next.tail_bytes() > TAIL {
                match spilled.take_if(|spill| spill.holds(&next.tail)) {
                    Some(spill) => next.spill(spill.segment),
                    None => {
                        // It may be long: heartbeats do not wait for it. Should others
                        // change the record meanwhile, another object is put, and this
                        // one is swept.
                        drop(known);
                        let ids = next.tail.iter().map(|entry| entry.log_id).collect();
                        let segment = self.put(&next.tail).await?;
                        spilled = Some(Spill { segment, ids });
                        continue;
                    }
                }
            }
            if self.write(&mut known, next, Some(&at.version)).await? {
                return Ok(taken);
            }
        }
        Err(self.failed(&"others write it all the time"))
    }

    /// Puts entries into an object of their own.
    pub(super) async fn put(&self, entries: &[Entry]) -> Result<Segment, Unanswered> {
        let index = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.log_id.index);
        let packed = segment::pack(&entries).map_err(|error| self.failed(&error))?;
        let segment = Segment {
            first: index(entries.first()),
            last: index(entries.last()),
            name: crate::simulation::random(),
            bytes: packed.len() as u64,
        };
        let key = self.segment_key(&segment);
        let put = self.0.store.put(&key, vec![packed]).await;
        put.map_err(|error| self.failed(&error))?;
        *self.0.turn.lock() = Some(Instant::now() + LAG);
        Ok(segment)
    }

    /// The entries of a segment that count.
    pub(super) async fn get(&self, segment: &Segment) -> Result<Vec<Entry>, Unanswered> {
        let key = self.segment_key(segment);
        let bytes = self.0.store.get_once(&key, 0..segment.bytes).await;
        let bytes = bytes.map_err(|error| self.failed(&error))?;
        let mut entries: Vec<Entry> = segment::unpack(&bytes)
            .map_err(|error| self.failed(&format!("{key} is damaged: {error}")))?;
        entries.retain(|entry| (segment.first..=segment.last).contains(&entry.log_id.index));
        Ok(entries)
    }
}
