//! Rows of mailboxes.

use crate::view::SpecialUse;

/// Which mailbox has a name.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct MailboxName {
    /// Its id.
    #[prost(uint64, tag = "1")]
    pub(crate) mailbox: u64,
}

/// A mailbox with its counters: small, since each delivery rewrites it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Mailbox {
    /// Its full name.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// Its UIDVALIDITY.
    #[prost(uint32, tag = "2")]
    pub(crate) uid_validity: u32,
    /// Its special use, a code of [`special_use_code`].
    #[prost(uint32, tag = "3")]
    pub(crate) special_use: u32,
    /// The next UID.
    #[prost(uint32, tag = "4")]
    pub(crate) uid_next: u32,
    /// The highest MODSEQ of any change in it.
    #[prost(uint64, tag = "5")]
    pub(crate) highest_mod_seq: u64,
    /// Messages.
    #[prost(uint32, tag = "6")]
    pub(crate) messages: u32,
    /// Messages without `\Seen`.
    #[prost(uint32, tag = "7")]
    pub(crate) unseen: u32,
    /// Messages with `\Deleted`.
    #[prost(uint32, tag = "8")]
    pub(crate) deleted: u32,
    /// Bytes, the sum of RFC822.SIZE.
    #[prost(uint64, tag = "9")]
    pub(crate) size: u64,
    /// UIDs below this were announced as recent.
    #[prost(uint32, tag = "10")]
    pub(crate) first_recent: u32,
    /// Removals up to this MODSEQ may have been trimmed from the log.
    #[prost(uint64, tag = "11")]
    pub(crate) log_floor: u64,
    /// Removal entries in the log.
    #[prost(uint32, tag = "12")]
    pub(crate) vanished: u32,
}

/// A special use as rows hold it; 0 is none.
pub(crate) fn special_use_code(special_use: Option<SpecialUse>) -> u32 {
    match special_use {
        None => 0,
        Some(SpecialUse::Archive) => 1,
        Some(SpecialUse::Drafts) => 2,
        Some(SpecialUse::Flagged) => 3,
        Some(SpecialUse::Junk) => 4,
        Some(SpecialUse::Sent) => 5,
        Some(SpecialUse::Trash) => 6,
    }
}

/// The special use of a code; none for what a later version may mean.
pub(crate) fn special_use(code: u32) -> Option<SpecialUse> {
    match code {
        1 => Some(SpecialUse::Archive),
        2 => Some(SpecialUse::Drafts),
        3 => Some(SpecialUse::Flagged),
        4 => Some(SpecialUse::Junk),
        5 => Some(SpecialUse::Sent),
        6 => Some(SpecialUse::Trash),
        _ => None,
    }
}
