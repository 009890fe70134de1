//! Keys of background work and of commands that were evaluated. What lies under them stands in [`super`].

use postrider_kv::key::Parts;
use postrider_types::{AccountId, CommandId, MailboxId, Millis, ModSeq};

use super::global;

pub(crate) fn purges() -> Vec<u8> {
    global(b'q').build()
}

/// All purges of an account.
pub(crate) fn purges_of(account: AccountId) -> Vec<u8> {
    global(b'q').u64(account.0).build()
}

/// The whole account is to be purged; sorts before its mailboxes.
pub(crate) fn purge_account(account: AccountId) -> Vec<u8> {
    global(b'q').u64(account.0).u64(0).build()
}

pub(crate) fn purge_mailbox(account: AccountId, mailbox: MailboxId) -> Vec<u8> {
    global(b'q').u64(account.0).u64(mailbox.0).build()
}

/// What a key of [`purges`] wants purged; None for the mailbox: the account.
pub(crate) fn purge_of(key: &[u8]) -> Option<(AccountId, Option<MailboxId>)> {
    let mut parts = Parts::of(key.get(2..)?);
    let account = AccountId(parts.u64()?);
    let mailbox = parts.u64()?;
    Some((account, (mailbox != 0).then_some(MailboxId(mailbox))))
}

pub(crate) fn vanished_times() -> Vec<u8> {
    global(b'w').build()
}

/// The end (excluded) of the removals before `moment`.
pub(crate) fn vanished_before(moment: Millis) -> Vec<u8> {
    global(b'w').u64(moment.0).build()
}

pub(crate) fn vanished_time(
    at: Millis,
    account: AccountId,
    mailbox: MailboxId,
    mod_seq: ModSeq,
) -> Vec<u8> {
    let key = global(b'w').u64(at.0).u64(account.0);
    key.u64(mailbox.0).u64(mod_seq.0).build()
}

/// What a key of [`vanished_time`] stands for.
pub(crate) fn vanished_time_of(key: &[u8]) -> Option<(Millis, AccountId, MailboxId, ModSeq)> {
    let mut parts = Parts::of(key.get(2..)?);
    Some((
        Millis(parts.u64()?),
        AccountId(parts.u64()?),
        MailboxId(parts.u64()?),
        ModSeq(parts.u64()?),
    ))
}

pub(crate) fn verdicts() -> Vec<u8> {
    global(b'v').build()
}

/// The verdict of a command that was evaluated: its dedup row.
pub(crate) fn verdict(id: CommandId) -> Vec<u8> {
    global(b'v').id(id.as_bytes()).build()
}
