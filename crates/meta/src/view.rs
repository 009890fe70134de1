//! What queries show and commands carry: plain values, independent of how rows
//! are stored.

use std::ops::RangeInclusive;

use bytes::Bytes;
use postrider_types::{
    AccountId, Address, BodyId, DomainId, DomainName, Flags, MailboxId, Millis, ModSeq, Uid,
    UidValidity,
};
use serde::{Deserialize, Serialize};

mod cluster;
mod dkim;
mod queue;
mod relay;
mod tls;
mod trace;

pub use cluster::{Authority, ClusterView, LeaseView, NewNode, NodeView};
pub use dkim::{DkimAlgorithm, DkimKey, DkimState};
pub use queue::{
    DestinationView, ListCopy, NewDestination, NewQueued, Notify, QueueEnvelope, QueueState,
    QueueStats, QueuedRecipient, QueuedView, Return, Seal, StsPolicy,
};
pub use relay::{Relay, RelayTls};
pub use tls::{
    TlsFailure, TlsFault, TlsPolicy, TlsPolicyKind, TlsPolicyResults, TlsRecord, TlsResults,
};
pub use trace::{Acceptance, Accepting, Event, EventKind, Origin, TraceView};

/// One page of an answer. To go on, ask again after `next`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items, in the query's order.
    pub items: Vec<T>,
    /// Where the next page starts; None on the last page. Opaque.
    pub next: Option<Cursor>,
}

/// A place in a paged answer. Opaque to callers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor(pub Bytes);

/// A local domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainView {
    /// Its id.
    pub id: DomainId,
    /// Its name.
    pub name: DomainName,
    /// Takes mail from local senders (authenticated or trusted) only.
    pub internal: bool,
    /// Who receives mail for unknown local parts.
    pub catch_all: Option<Address>,
    /// Where mail for unknown local parts goes on to.
    pub relay: Option<Relay>,
    /// How many accounts it has.
    pub accounts: u64,
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountState {
    /// In use.
    Active,
    /// No login; mail is still received.
    Suspended,
    /// Being removed: gone for everybody, its rows are still being purged.
    Removing,
}

/// Most bytes and messages of an account; None is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaLimit {
    /// Bytes, the sum of RFC822.SIZE.
    pub bytes: Option<u64>,
    /// Messages.
    pub messages: Option<u64>,
}

/// An account's use beside its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaView {
    /// Bytes used.
    pub bytes: u64,
    /// Messages stored.
    pub messages: u64,
    /// The limits.
    pub limit: QuotaLimit,
}

/// An account as administrators see it: never its password verifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// Its id.
    pub id: AccountId,
    /// Its primary address, which is also its login.
    pub address: Address,
    /// Whether it may be used.
    pub state: AccountState,
    /// From this moment on it is closed (no login, no mail), not lost.
    pub expires: Option<Millis>,
    /// Use and limits.
    pub quota: QuotaView,
    /// When it was added.
    pub created: Millis,
}

/// What a login check needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginView {
    /// The account.
    pub account: AccountId,
    /// Its primary address.
    pub address: Address,
    /// The argon2id verifier, in PHC string format.
    pub verifier: String,
    /// Whether it may be used.
    pub state: AccountState,
    /// From this moment on it is closed.
    pub expires: Option<Millis>,
}

/// An alias: mail to `address` goes to `targets` instead. Only the senders of
/// an account that an alias leads to may send as the alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasView {
    /// The alias.
    pub address: Address,
    /// Where its mail goes, 1 to 100 addresses, here or outside.
    pub targets: Vec<Address>,
}

/// A distribution group: mail to `address` goes to all members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// The group's address.
    pub address: Address,
    /// Its members, up to 10,000 addresses, here or outside.
    pub members: Vec<Address>,
    /// Takes mail from local senders only.
    pub internal: bool,
    /// What makes it a mailing list, if it is one.
    pub list: Option<ListView>,
}

/// What a mailing list has beyond a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListView {
    /// Who answers for it and gets its bounces; None is the postmaster of its
    /// domain.
    pub owner: Option<Address>,
    /// Members may take themselves out.
    pub unsubscribe: bool,
}

/// A special use (RFC 6154 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SpecialUse {
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

/// A mailbox that each new account gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultMailbox {
    /// Its full name, `/` between levels.
    pub name: String,
    /// Its special use.
    pub special_use: Option<SpecialUse>,
}

/// A mailbox with its counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxView {
    /// Its id.
    pub id: MailboxId,
    /// Its full name in UTF-8, `/` between levels; INBOX in capitals.
    pub name: String,
    /// Its UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The UID that the next message will get or exceed.
    pub uid_next: Uid,
    /// The highest MODSEQ of any change in it.
    pub highest_mod_seq: ModSeq,
    /// Its special use.
    pub special_use: Option<SpecialUse>,
    /// Whether it is subscribed to.
    pub subscribed: bool,
    /// Messages in it.
    pub messages: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Bytes in it, the sum of RFC822.SIZE.
    pub size: u64,
    /// All UIDs below this were announced as `\Recent` to some session.
    pub first_recent: Uid,
}

/// UIDs as closed ranges, ascending, without overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UidRanges(pub Vec<RangeInclusive<u32>>);

/// What of a message a query returns beside its UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Detail {
    /// UID, MODSEQ and flags.
    Flags,
    /// And internal date, size, body, prefix.
    Row,
    /// And the summary.
    Summary,
}

/// A message as a session sees it. Fields above the query's [`Detail`] are empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageView {
    /// Its UID.
    pub uid: Uid,
    /// The MODSEQ of its last change.
    pub mod_seq: ModSeq,
    /// Its flags.
    pub flags: Flags,
    /// INTERNALDATE.
    pub internal_date: Millis,
    /// INTERNALDATE's zone, minutes east of UTC.
    pub zone: i16,
    /// RFC822.SIZE: the prefix and the body.
    pub size: u64,
    /// The body after the prefix.
    pub body: BodyId,
    /// Header fields added on arrival, CRLF at the end; they precede the body.
    pub prefix: Bytes,
    /// The message crate's encoded summary of the body, without the prefix.
    pub summary: Bytes,
}

/// Where a body's bytes lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// In the metadata store.
    Inline,
    /// In the object `key`, from `offset` on, `length` stored bytes.
    Object {
        /// The object's key.
        key: String,
        /// The first byte.
        offset: u64,
        /// Stored (possibly compressed) bytes.
        length: u64,
    },
}

/// How a body's stored bytes are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// As they are.
    Identity,
    /// One zstd frame.
    Zstd,
    /// Blocks, each checksummed and compressed on its own: the body crate's form
    /// of a large body in an object of its own.
    Blocks,
}

/// A body that is not in the store yet, with its bytes or the object that holds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewBody {
    /// Its id, made when its bytes began to arrive.
    pub id: BodyId,
    /// Its length in bytes, decoded.
    pub size: u64,
    /// BLAKE3 of the decoded bytes.
    pub checksum: [u8; 32],
    /// How the stored bytes are encoded.
    pub encoding: Encoding,
    /// The stored bytes, or the object that already holds them durably.
    pub content: Content,
    /// The message crate's encoded summary.
    pub summary: Bytes,
    /// The most bytes that all inline bodies together may occupy with this one;
    /// above it the command is refused with [`crate::Refusal::InlineBudget`].
    /// `u64::MAX` for no limit. Not looked at where the bytes lie in an object.
    pub inline_budget: u64,
}

/// The stored bytes of a new body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// They travel in the command and are kept inline.
    Inline(Bytes),
    /// They lie alone in the object `key`, `length` bytes.
    Object {
        /// The object's key.
        key: String,
        /// Stored bytes.
        length: u64,
    },
}

/// A stored body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyView {
    /// Its id.
    pub id: BodyId,
    /// Its length in bytes, decoded.
    pub size: u64,
    /// BLAKE3 of the decoded bytes.
    pub checksum: [u8; 32],
    /// How the stored bytes are encoded.
    pub encoding: Encoding,
    /// Where they lie.
    pub place: Place,
    /// The stored bytes, if the place is inline and the query asked for them.
    pub inline: Option<Bytes>,
}

/// An object (a pack or a single body) and how much of it is live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectView {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub length: u64,
    /// Bytes that live bodies occupy.
    pub live: u64,
    /// Since when nothing in it is live.
    pub dead_since: Option<Millis>,
}
