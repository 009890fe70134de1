//! How far a state has come, as it is stored beside the state: written with each
//! write, and never without it.

use bytes::Bytes;
use postrider_types::Millis;

use crate::raft::{LogId, StoredMembership, log_id, term};

/// How far a state has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The last entry applied.
    pub(crate) applied: Option<LogId>,
    /// The index of the last batch applied; 0 for none.
    pub(crate) batch: u64,
    /// When the last batch applied was evaluated; zero before the first.
    pub(crate) time: Millis,
    /// The members.
    pub(crate) membership: StoredMembership,
}

/// Bytes of the row that holds it, without the members.
const ROW: usize = 33;

impl Progress {
    pub(super) fn encode(&self) -> [u8; ROW] {
        let mut out = [0; ROW];
        out[0] = u8::from(self.applied.is_some());
        let (term, index) = self.applied.map_or((0, 0), |id| (term(&id), id.index));
        let numbers = [term, index, self.batch, self.time.0];
        for (at, number) in numbers.into_iter().enumerate() {
            out[1 + 8 * at..9 + 8 * at].copy_from_slice(&number.to_le_bytes());
        }
        out
    }

    pub(super) fn decode(
        progress: Option<Bytes>,
        membership: Option<Bytes>,
    ) -> std::result::Result<Self, &'static str> {
        let bytes = progress.ok_or("the state is not complete")?;
        let bytes: [u8; ROW] = bytes[..].try_into().map_err(|_| "damaged progress row")?;
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[1 + 8 * at..9 + 8 * at]);
            u64::from_le_bytes(number)
        };
        let membership = match membership {
            Some(row) => rmp_serde::from_slice(&row).map_err(|_| "damaged membership row")?,
            None => StoredMembership::default(),
        };
        Ok(Self {
            applied: (bytes[0] != 0).then(|| log_id(number(0), number(1))),
            batch: number(2),
            time: Millis(number(3)),
            membership,
        })
    }
}
