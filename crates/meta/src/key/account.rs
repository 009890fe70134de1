//! Keys of what belongs to one account. What lies under them stands in [`super`].

use postrider_kv::key::{Key, Parts};
use postrider_types::{AccountId, MailboxId, ModSeq, Uid};

use super::of_account;

/// Everything of all accounts.
pub(crate) fn accounts() -> Vec<u8> {
    Key::default().u8(b'a').build()
}

/// Everything of an account.
pub(crate) fn all_of(account: AccountId) -> Vec<u8> {
    Key::default().u8(b'a').u64(account.0).build()
}

pub(crate) fn account(account: AccountId) -> Vec<u8> {
    of_account(account, b'A').build()
}

pub(crate) fn credentials(account: AccountId) -> Vec<u8> {
    of_account(account, b'C').build()
}

pub(crate) fn counters(account: AccountId) -> Vec<u8> {
    of_account(account, b'N').build()
}

pub(crate) fn mailbox_names(account: AccountId) -> Vec<u8> {
    of_account(account, b'n').build()
}

pub(crate) fn mailbox_name(account: AccountId, name: &str) -> Vec<u8> {
    of_account(account, b'n').str(name).build()
}

/// All mailboxes whose names begin with `start`.
pub(crate) fn mailbox_names_from(account: AccountId, start: &str) -> Vec<u8> {
    of_account(account, b'n').str_prefix(start).build()
}

/// The name in a key of [`mailbox_name`] or [`subscription`].
pub(crate) fn mailbox_name_of(key: &[u8]) -> Option<String> {
    Parts::of(key.get(10..)?).str()
}

pub(crate) fn mailboxes(account: AccountId) -> Vec<u8> {
    of_account(account, b'b').build()
}

pub(crate) fn mailbox(account: AccountId, mailbox: MailboxId) -> Vec<u8> {
    of_account(account, b'b').u64(mailbox.0).build()
}

pub(crate) fn subscriptions(account: AccountId) -> Vec<u8> {
    of_account(account, b's').build()
}

pub(crate) fn subscription(account: AccountId, name: &str) -> Vec<u8> {
    of_account(account, b's').str(name).build()
}

/// All messages of an account.
pub(crate) fn all_messages(account: AccountId) -> Vec<u8> {
    of_account(account, b'm').build()
}

/// All messages of a mailbox.
pub(crate) fn messages(account: AccountId, mailbox: MailboxId) -> Vec<u8> {
    of_account(account, b'm').u64(mailbox.0).build()
}

pub(crate) fn message(account: AccountId, mailbox: MailboxId, uid: Uid) -> Vec<u8> {
    of_account(account, b'm').u64(mailbox.0).u32(uid.0).build()
}

/// The UID in a key of [`message`] or [`deleted`].
pub(crate) fn uid_of(key: &[u8]) -> Option<Uid> {
    let (_, uid) = key.split_last_chunk::<4>()?;
    Some(Uid(u32::from_be_bytes(*uid)))
}

/// The mailbox in a key of a table by account and mailbox.
pub(crate) fn mailbox_of(key: &[u8]) -> Option<MailboxId> {
    Parts::of(key.get(10..)?).u64().map(MailboxId)
}

/// All live changes of an account.
pub(crate) fn all_changes(account: AccountId) -> Vec<u8> {
    of_account(account, b'c').build()
}

/// All live changes of a mailbox.
pub(crate) fn changes(account: AccountId, mailbox: MailboxId) -> Vec<u8> {
    of_account(account, b'c').u64(mailbox.0).build()
}

pub(crate) fn changed(account: AccountId, mailbox: MailboxId, mod_seq: ModSeq) -> Vec<u8> {
    let key = of_account(account, b'c').u64(mailbox.0);
    key.u64(mod_seq.0).build()
}

/// All removals of an account.
pub(crate) fn all_vanished(account: AccountId) -> Vec<u8> {
    of_account(account, b'v').build()
}

/// All removals of a mailbox.
pub(crate) fn vanished_of(account: AccountId, mailbox: MailboxId) -> Vec<u8> {
    of_account(account, b'v').u64(mailbox.0).build()
}

pub(crate) fn vanished(account: AccountId, mailbox: MailboxId, mod_seq: ModSeq) -> Vec<u8> {
    let key = of_account(account, b'v').u64(mailbox.0);
    key.u64(mod_seq.0).build()
}

/// The MODSEQ in a key of [`changed`] or [`vanished`].
pub(crate) fn mod_seq_of(key: &[u8]) -> Option<ModSeq> {
    let (_, mod_seq) = key.split_last_chunk::<8>()?;
    Some(ModSeq(u64::from_be_bytes(*mod_seq)))
}

/// All messages of an account with `\Deleted`.
pub(crate) fn all_marks(account: AccountId) -> Vec<u8> {
    of_account(account, b'd').build()
}

/// All messages of a mailbox with `\Deleted`.
pub(crate) fn all_deleted(account: AccountId, mailbox: MailboxId) -> Vec<u8> {
    of_account(account, b'd').u64(mailbox.0).build()
}

/// The message has `\Deleted`.
pub(crate) fn deleted(account: AccountId, mailbox: MailboxId, uid: Uid) -> Vec<u8> {
    of_account(account, b'd').u64(mailbox.0).u32(uid.0).build()
}
