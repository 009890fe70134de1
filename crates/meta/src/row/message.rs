//! Rows of messages and of the change log.

use bytes::Bytes;
use postrider_kv as kv;
use postrider_types::{BodyId, Flag, Flags, Uid};

/// A message in a mailbox: small, since each change of flags rewrites it. Its
/// UID stands in the key.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Message {
    /// The MODSEQ of its last change.
    #[prost(uint64, tag = "1")]
    pub(crate) mod_seq: u64,
    /// System flags, the bits of [`SYSTEM`].
    #[prost(uint32, tag = "2")]
    pub(crate) system: u32,
    /// Keywords.
    #[prost(string, repeated, tag = "3")]
    pub(crate) keywords: Vec<String>,
    /// INTERNALDATE.
    #[prost(uint64, tag = "4")]
    pub(crate) internal_date: u64,
    /// INTERNALDATE's zone, minutes east of UTC.
    #[prost(sint32, tag = "5")]
    pub(crate) zone: i32,
    /// RFC822.SIZE: prefix and body.
    #[prost(uint64, tag = "6")]
    pub(crate) size: u64,
    /// The body's id, 16 bytes.
    #[prost(bytes = "bytes", tag = "7")]
    pub(crate) body: Bytes,
    /// Header fields that precede the body.
    #[prost(bytes = "bytes", tag = "8")]
    pub(crate) prefix: Bytes,
}

/// The bits of [`Message::system`].
const SYSTEM: [(Flag, u32); 5] = [
    (Flag::Seen, 1),
    (Flag::Answered, 2),
    (Flag::Flagged, 4),
    (Flag::Deleted, 8),
    (Flag::Draft, 16),
];

impl Message {
    /// Whether `\Seen` is set.
    pub(crate) fn is_seen(&self) -> bool {
        self.system & 1 != 0
    }

    /// Whether `\Deleted` is set.
    pub(crate) fn is_deleted(&self) -> bool {
        self.system & 8 != 0
    }

    /// Its flags.
    pub(crate) fn flags(&self) -> Flags {
        let system = SYSTEM.iter().filter(|(_, bit)| self.system & bit != 0);
        let keywords = self.keywords.iter();
        system
            .map(|(flag, _)| flag.clone())
            .chain(keywords.filter_map(|word| Flag::keyword(word).ok()))
            .collect()
    }

    /// Sets its flags to exactly `flags`.
    pub(crate) fn set_flags(&mut self, flags: &Flags) {
        self.system = 0;
        self.keywords.clear();
        for flag in flags.iter() {
            match SYSTEM.iter().find(|(system, _)| system == flag) {
                Some((_, bit)) => self.system |= bit,
                None => self.keywords.push(flag.as_str().to_owned()),
            }
        }
    }

    /// The body's id.
    pub(crate) fn body_id(&self) -> kv::Result<BodyId> {
        body_id(&self.body)
    }
}

/// The id in a field of 16 bytes.
pub(crate) fn body_id(field: &Bytes) -> kv::Result<BodyId> {
    let bytes = field.as_ref().try_into().map_err(|_| kv::Error::Value {
        key: "a reference to a body".into(),
        reason: format!("an id has 16 bytes, this has {}", field.len()),
    })?;
    Ok(BodyId::from_bytes(bytes))
}

/// The log's entry of a new or changed message. It moves when the message
/// changes again, so that there is one per message.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Changed {
    /// The message.
    #[prost(uint32, tag = "1")]
    pub(crate) uid: u32,
}

/// The log's entry of one removal.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Vanished {
    /// When.
    #[prost(uint64, tag = "1")]
    pub(crate) at: u64,
    /// Which UIDs, ascending, as runs: the first UID (of later runs the distance
    /// from the run before), then how many.
    #[prost(uint32, repeated, tag = "2")]
    pub(crate) runs: Vec<u32>,
}

impl Vanished {
    /// The entry of a removal of `uids`, which ascend.
    pub(crate) fn new(at: u64, uids: &[Uid]) -> Self {
        let mut runs: Vec<u32> = Vec::new();
        let mut end = 0;
        for uid in uids {
            match runs.last_mut() {
                Some(count) if uid.0 == end => *count += 1,
                _ => runs.extend([uid.0 - end, 1]),
            }
            end = uid.0.saturating_add(1);
        }
        Self { at, runs }
    }

    /// The UIDs, ascending.
    pub(crate) fn uids(&self) -> impl Iterator<Item = Uid> {
        let mut end = 0u32;
        self.runs.chunks_exact(2).flat_map(move |run| {
            let first = end.saturating_add(run[0]);
            end = first.saturating_add(run[1]);
            (first..end).map(Uid)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removals_are_kept_as_runs() {
        let uids = [1, 2, 3, 7, 9, 10].map(Uid);
        let row = Vanished::new(5, &uids);
        assert_eq!(row.runs, [1, 3, 3, 1, 1, 2]);
        assert!(row.uids().eq(uids));
        assert_eq!(Vanished::new(5, &[]).uids().count(), 0);
    }

    #[test]
    fn flags_survive_a_row() {
        let flags: Flags = ["\\Seen", "\\Draft", "$Forwarded", "work"]
            .iter()
            .map(|word| Flag::parse(word).unwrap())
            .collect();
        let mut row = Message::default();
        row.set_flags(&flags);
        assert_eq!((row.system, row.keywords.len()), (17, 2));
        assert_eq!(row.flags(), flags);
        assert!(row.is_seen() && !row.is_deleted());
    }
}
