//! Queries: what may be asked. One file per query, its function `answer` beside
//! its type. Every answer is bounded; long ones come in pages.

use postrider_types::{AccountId, Address, BodyId, MailboxId, Millis, ModSeq, Uid};
use serde::{Deserialize, Serialize};

use crate::view::{Cursor, Detail, MessageView, UidRanges};

/// Local domains by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Domains {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

/// Accounts by address, of one domain or of all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accounts {
    /// Only this domain's.
    pub domain: Option<postrider_types::DomainName>,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

/// One account by its address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Its primary address.
    pub address: Address,
}

/// Aliases by address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Aliases {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

/// Groups by address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Groups {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 100.
    pub limit: u32,
}

/// The mailboxes that each new account gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DefaultMailboxes {}

/// What a login check needs. None for an unknown login or an account that is
/// being removed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Login {
    /// The login: an account's primary address.
    pub address: Address,
}

/// Who receives mail to an address. Follows aliases, groups, plus details and
/// the catch-all, to a depth of 10.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resolve {
    /// The address of RCPT.
    pub address: Address,
    /// The message's size in bytes as far as it is known, else 0: an account
    /// without room for it is over quota.
    pub size: u64,
    /// The sender is local (authenticated or trusted): internal domains and
    /// groups take the mail.
    pub local_sender: bool,
    /// The moment, for expiry dates.
    pub now: Millis,
}

/// What [`Resolve`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resolution {
    /// These accounts receive it, each once, 1 to 10,000.
    Local(Vec<Recipient>),
    /// Not a local domain.
    Foreign,
    /// A local domain without such an address.
    Unknown,
    /// The only account it leads to is closed (expired or being removed).
    Closed,
    /// The only account it leads to has no room. With `exceeds`, the message
    /// alone is larger than the whole quota: it will never fit.
    OverQuota {
        /// Larger than the whole quota.
        exceeds: bool,
    },
    /// Internal domain or group, and the sender is not local.
    Internal,
    /// Leads outside, in a circle, or to nobody; the text says which.
    Undeliverable(String),
}

/// An account that receives a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The account.
    pub account: AccountId,
    /// Its primary address.
    pub address: Address,
    /// The plus detail of the address, if it led here directly.
    pub detail: Option<String>,
}

/// Whether an account may use `sender` as its sender: its own address (with any
/// plus detail), or an alias or group whose targets lead to it directly.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MaySendAs {
    /// The account.
    pub account: AccountId,
    /// The sender's address.
    pub sender: Address,
}

/// An account's use and limits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Quota {
    /// The account.
    pub account: AccountId,
}

/// An account's mailboxes by name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mailboxes {
    /// The account.
    pub account: AccountId,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

/// One mailbox by its name (INBOX in any case).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MailboxByName {
    /// The account.
    pub account: AccountId,
    /// The full name.
    pub name: String,
}

/// Subscribed names, also of mailboxes that do not exist (RFC 3501 §6.3.6).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscriptions {
    /// The account.
    pub account: AccountId,
}

/// Messages of a mailbox by UID, ascending.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Messages {
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Which ones; UIDs without a message are passed over.
    pub uids: UidRanges,
    /// How much of each.
    pub detail: Detail,
    /// Only those with a MODSEQ above this; 0 for all.
    pub changed_since: ModSeq,
    /// The most to return, 1 to 10,000. An answer also ends at about 4 MiB.
    pub limit: u32,
}

/// A page of messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePage {
    /// The messages, ascending by UID.
    pub messages: Vec<MessageView>,
    /// Ask again from this UID on; None when all are told.
    pub next: Option<Uid>,
}

/// What happened in a mailbox after a moment: from the change log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangesSince {
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Changes with a MODSEQ above this.
    pub since: ModSeq,
    /// The most log entries to read, 1 to 10,000.
    pub limit: u32,
}

/// A page of changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePage {
    /// The mailbox is gone.
    pub gone: bool,
    /// The log no longer reaches back to `since`: read the mailbox anew.
    pub truncated: bool,
    /// New or changed messages as they are now ([`Detail::Flags`]), ascending by UID.
    pub changed: Vec<MessageView>,
    /// UIDs that were removed, ascending.
    pub vanished: Vec<Uid>,
    /// The answer covers all changes up to and including this MODSEQ.
    pub up_to: ModSeq,
    /// There is more: ask again since `up_to`.
    pub more: bool,
}

/// Bodies by id, in the order asked; None for unknown ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bodies {
    /// Which, at most 1,000.
    pub ids: Vec<BodyId>,
    /// With the bytes of inline ones.
    pub inline: bool,
}

/// Inline bodies, oldest first, with their bytes: food for the packer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InlineBodies {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most bodies to return, 1 to 10,000.
    pub limit: u32,
    /// An answer ends at this many bytes.
    pub max_bytes: u64,
}

/// Objects with something live, less than half of their bytes, in no order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Packs {
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

/// The live bodies in an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PackContents {
    /// The object's key.
    pub key: String,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 10,000.
    pub limit: u32,
}

/// Objects in which nothing has been live since before a moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadObjects {
    /// Dead since before this.
    pub before: Millis,
    /// Where to go on.
    pub after: Option<Cursor>,
    /// The most to return, 1 to 1,000.
    pub limit: u32,
}

/// Whether the store knows these objects (live or dead): unknown ones that are
/// old are orphans.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KnownObjects {
    /// The keys, at most 1,000.
    pub keys: Vec<String>,
}

/// Bytes that inline bodies occupy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InlineUsage {}

/// What bounded background steps have left to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unfinished {}

/// The answer to [`Unfinished`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// Deleted mailboxes and accounts with rows left: [`crate::command::Purge`].
    pub purge: bool,
}
