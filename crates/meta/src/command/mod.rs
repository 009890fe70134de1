//! Commands: what may be done. One file per command, its function `apply`
//! beside its type. A command does a bounded amount of work; bulk work is a
//! resumable series of commands.

use bytes::Bytes;
use postrider_types::{
    AccountId, Address, BodyId, CommandId, DomainName, Flags, MailboxId, Millis, ModSeq, Uid,
    UidValidity,
};
use serde::{Deserialize, Serialize};

use crate::api::Refusal;
use crate::view::{
    AccountState, DefaultMailbox, NewBody, Place, QuotaLimit, SpecialUse, UidRanges,
};

/// A change to an optional field: leave it, or set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change<T> {
    /// As it is.
    #[default]
    Keep,
    /// To this.
    Set(T),
}

/// Adds a local domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddDomain {
    /// Its name.
    pub name: DomainName,
    /// Takes mail from local senders only.
    pub internal: bool,
    /// Who receives mail for unknown local parts.
    pub catch_all: Option<Address>,
}

/// Changes a local domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetDomain {
    /// Its name.
    pub name: DomainName,
    /// Takes mail from local senders only.
    pub internal: Change<bool>,
    /// Who receives mail for unknown local parts.
    pub catch_all: Change<Option<Address>>,
}

/// Removes a domain; refused while it has accounts, aliases or groups.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveDomain {
    /// Its name.
    pub name: DomainName,
}

/// Adds an account with INBOX and the default mailboxes (subscribed).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddAccount {
    /// Its address; the domain must be local, the address free and without a plus.
    pub address: Address,
    /// The argon2id verifier, in PHC string format.
    pub verifier: String,
    /// Its limits.
    pub quota: QuotaLimit,
    /// From this moment on it is closed.
    pub expires: Option<Millis>,
}

/// Changes an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetAccount {
    /// Its address.
    pub address: Address,
    /// The argon2id verifier.
    pub verifier: Change<String>,
    /// Its limits.
    pub quota: Change<QuotaLimit>,
    /// From this moment on it is closed.
    pub expires: Change<Option<Millis>>,
    /// Active or suspended.
    pub state: Change<AccountState>,
}

/// Removes an account: gone at once, its rows are purged in the background.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveAccount {
    /// Its address.
    pub address: Address,
}

/// Adds an alias or replaces its targets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetAlias {
    /// The alias; the domain must be local, the address free or an alias.
    pub address: Address,
    /// Where its mail goes, 1 to 100 addresses.
    pub targets: Vec<Address>,
    /// Refuse if it exists.
    pub only_new: bool,
}

/// Removes an alias.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveAlias {
    /// The alias.
    pub address: Address,
}

/// Adds a group or changes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetGroup {
    /// The group's address.
    pub address: Address,
    /// Members to add.
    pub add: Vec<Address>,
    /// Members to take out.
    pub remove: Vec<Address>,
    /// Takes mail from local senders only.
    pub internal: Change<bool>,
    /// Add the group: refuse if it exists. Otherwise refuse if it does not.
    pub only_new: bool,
}

/// Removes a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveGroup {
    /// The group's address.
    pub address: Address,
}

/// Sets the list of mailboxes that each new account gets. Accounts that exist
/// are left alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetDefaultMailboxes {
    /// The list, at most 100, without INBOX.
    pub mailboxes: Vec<DefaultMailbox>,
}

/// Creates a mailbox and its missing superiors (RFC 9051 §6.3.4).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateMailbox {
    /// The account.
    pub account: AccountId,
    /// The full name in UTF-8, `/` between levels, at most 255 characters and 20 levels.
    pub name: String,
    /// Its special use (RFC 6154 §3).
    pub special_use: Option<SpecialUse>,
}

/// Renames a mailbox with its inferiors; of INBOX it moves the messages
/// (RFC 9051 §6.3.6).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenameMailbox {
    /// The account.
    pub account: AccountId,
    /// The name.
    pub from: String,
    /// The new name.
    pub to: String,
}

/// Deletes a mailbox: gone at once, its messages are purged in the background.
/// Refused for INBOX. One with inferiors stays as a name only; here it is
/// refused (RFC 9051 §6.3.5 leaves the choice).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteMailbox {
    /// The account.
    pub account: AccountId,
    /// The name.
    pub name: String,
}

/// Subscribes to a name, or no longer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscribe {
    /// The account.
    pub account: AccountId,
    /// The name; it need not exist.
    pub name: String,
    /// True to subscribe.
    pub subscribed: bool,
}

/// Delivers one message to local accounts, all in one transaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accept {
    /// The body.
    pub body: NewBody,
    /// Who receives it, each account once, 1 to 10,000.
    pub deliveries: Vec<Delivery>,
    /// INTERNALDATE of all.
    pub received: Millis,
}

/// One recipient of [`Accept`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The account.
    pub account: AccountId,
    /// The mailbox's name; where it does not exist, INBOX takes the message.
    pub mailbox: String,
    /// Header fields for this recipient, CRLF at the end, at most 8 KiB.
    pub prefix: Bytes,
    /// Flags to set on arrival.
    pub flags: Flags,
    /// Deliver even if this message alone exceeds the quota, as long as the
    /// account was under it: for a recipient that was already accepted.
    pub overdraft: bool,
}

/// What [`Accept`] did, one per delivery in their order. If none succeeded
/// nothing is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Per delivery: its place, or why not ([`Refusal::OverQuota`],
    /// [`Refusal::Closed`], [`Refusal::NotFound`]).
    pub deliveries: Vec<Result<Delivered, Refusal>>,
}

/// Where a message was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Its UID there.
    pub uid: Uid,
}

/// Appends messages to a mailbox, all or none (RFC 9051 §6.3.12, RFC 3502).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Append {
    /// The account.
    pub account: AccountId,
    /// The mailbox's name.
    pub mailbox: String,
    /// The messages, 1 to 100.
    pub messages: Vec<AppendMessage>,
}

/// One message of [`Append`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendMessage {
    /// The body.
    pub body: NewBody,
    /// Its flags.
    pub flags: Flags,
    /// INTERNALDATE.
    pub internal_date: Millis,
    /// INTERNALDATE's zone, minutes east of UTC.
    pub zone: i16,
}

/// What [`Append`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Its UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The UIDs in the order of the messages.
    pub uids: Vec<Uid>,
}

/// How [`Store`] changes flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreMode {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// Changes flags of up to 1,000 messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Store {
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The messages; UIDs without a message are passed over. Refused with
    /// [`Refusal::Limit`] where more than 1,000 exist.
    pub uids: UidRanges,
    /// How.
    pub mode: StoreMode,
    /// The flags.
    pub flags: Flags,
    /// Leave messages with a MODSEQ above this (RFC 7162 §3.1.3).
    pub unchanged_since: Option<ModSeq>,
}

/// What [`Store`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Each message that passed the condition, with the MODSEQ and flags that it
    /// now has, ascending by UID. A message whose flags did not change keeps its MODSEQ.
    pub messages: Vec<(Uid, ModSeq, Flags)>,
    /// Messages that failed the condition.
    pub modified: Vec<Uid>,
    /// UIDs asked for singly that have no message (any more).
    pub missing: Vec<Uid>,
}

/// Copies or moves up to 1,000 messages within an account, all or none
/// (RFC 9051 §6.4.7, RFC 6851).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Copy {
    /// The account.
    pub account: AccountId,
    /// The source.
    pub from: MailboxId,
    /// The messages; UIDs without a message are passed over. Refused with
    /// [`Refusal::Limit`] where more than 1,000 exist.
    pub uids: UidRanges,
    /// The target mailbox's name.
    pub to: String,
    /// Remove the originals.
    pub remove: bool,
}

/// What [`Copy`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The target.
    pub mailbox: MailboxId,
    /// Its UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// Source and target UIDs, ascending.
    pub uids: Vec<(Uid, Uid)>,
}

/// Removes messages, all or none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expunge {
    /// The account.
    pub account: AccountId,
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Which; UIDs without a message are passed over.
    pub uids: UidRanges,
    /// Only those with `\Deleted` (EXPUNGE); false removes all (POP3).
    pub only_deleted: bool,
    /// Stop after this many, 1 to 20,000; [`Expunged::more`] tells.
    pub limit: u32,
}

/// What [`Expunge`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expunged {
    /// Removed UIDs, ascending.
    pub uids: Vec<Uid>,
    /// The MODSEQ of the removal.
    pub mod_seq: ModSeq,
    /// There are more to remove.
    pub more: bool,
}

/// One step of purging deleted mailboxes and accounts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Purge {
    /// The most messages to remove, 1 to 1,000.
    pub limit: u32,
}

/// What [`Purge`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// There is more to purge.
    pub more: bool,
}

/// Tells that bodies now lie in an object, and frees their old place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Relocate {
    /// The new object's key; the object is durable.
    pub key: String,
    /// Its length in bytes.
    pub length: u64,
    /// The bodies. One that was removed meanwhile, or no longer lies at `from`,
    /// is passed over.
    pub moves: Vec<Move>,
}

/// One body of [`Relocate`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The body.
    pub body: BodyId,
    /// Where it lay when it was read.
    pub from: Place,
    /// Its first byte in the new object.
    pub offset: u64,
    /// Its stored bytes there.
    pub length: u64,
}

/// What [`Relocate`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relocated {
    /// Bodies that moved.
    pub moved: u32,
}

/// Forgets a dead object after it was removed from the object store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForgetObject {
    /// Its key.
    pub key: String,
}

/// Removes old change-log entries and old dedup rows, a bounded step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trim {
    /// Dedup rows of commands made before this.
    pub dedup_before: CommandId,
}

/// What [`Trim`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trimmed {
    /// There is more to trim.
    pub more: bool,
}
