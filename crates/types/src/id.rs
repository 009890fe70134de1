//! Identifiers. Each is a newtype, so that one kind is never taken for another.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Millis, Random};

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// A node of the cluster. Allocated from a counter in the metadata, from 1,
    /// never reused: not even by the same machine with a new disk.
    NodeId,
    u64
);
number_id!(
    /// A local domain. Allocated from a counter, never reused.
    DomainId,
    u64
);
number_id!(
    /// A mailbox owner. Allocated from a counter, never reused.
    AccountId,
    u64
);
number_id!(
    /// A mailbox (folder) within its account. Allocated from a counter of the
    /// account, never reused, kept by RENAME.
    MailboxId,
    u64
);
number_id!(
    /// An entry of the queue: a message on its way to one destination. Allocated
    /// from a counter in the metadata, ascending, never reused.
    QueueId,
    u64
);
number_id!(
    /// A message's number within its mailbox: 1 to 2^32-1, ascending in the
    /// order in which messages become visible (RFC 9051 §2.3.1.1).
    Uid,
    u32
);
number_id!(
    /// A mailbox's UIDVALIDITY (RFC 9051 §2.3.1.1): never zero.
    UidValidity,
    u32
);
number_id!(
    /// A modification sequence (RFC 7162 §3.1): 1 to 2^63-1. One counter per
    /// account, so that it also orders changes across mailboxes.
    ModSeq,
    u64
);

macro_rules! sortable_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 48 bits of Unix milliseconds, then 80 random bits: ids sort by time
        /// and are unique without coordination.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A fresh id for the moment `now`.
            pub fn new(now: Millis, random: &dyn Random) -> Self {
                let mut bytes = [0; 16];
                random.fill(&mut bytes[6..]);
                bytes[..6].copy_from_slice(&now.0.to_be_bytes()[2..]);
                Self(bytes)
            }

            /// The smallest id of the moment `at`: the lower bound of a range.
            pub fn floor(at: Millis) -> Self {
                let mut bytes = [0; 16];
                bytes[..6].copy_from_slice(&at.0.to_be_bytes()[2..]);
                Self(bytes)
            }

            /// The id with these bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The bytes, most significant first.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// When the id was made.
            pub fn made_at(&self) -> Millis {
                let mut time = [0; 8];
                time[2..].copy_from_slice(&self.0[..6]);
                Millis(u64::from_be_bytes(time))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

sortable_id!(
    /// A message body, shared by all its recipients and copies.
    BodyId
);
sortable_id!(
    /// One command to the metadata store. A command that is sent again carries
    /// the same id and is applied once.
    CommandId
);

#[cfg(test)]
mod tests {
    use super::*;

    struct Ones;
    impl Random for Ones {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0xff);
        }
    }

    #[test]
    fn sortable_ids_sort_by_time_and_tell_it() {
        let early = BodyId::new(Millis(1_700_000_000_000), &Ones);
        let late = BodyId::new(Millis(1_700_000_000_001), &Ones);
        assert!(early < late);
        assert_eq!(late.made_at(), Millis(1_700_000_000_001));
        assert!(BodyId::floor(late.made_at()) > early);
        assert_eq!(early.to_string().len(), 32);
    }
}
