//! An account in the hands of a command: opened once, its counters changed in
//! memory, saved once.

use postrider_kv::{Read, Txn};
use postrider_types::{AccountId, MailboxId, Millis, ModSeq, UidValidity};

use crate::api::Refusal;
use crate::stop::Stop;
use crate::view::AccountState;
use crate::{key, row};

/// The account, as read and changed so far.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) row: row::Account,
    pub(crate) counters: row::Counters,
}

impl Account {
    /// Opens the account for its owner. Refused while it is closed in any way.
    pub(crate) async fn open(read: &impl Read, now: Millis, id: AccountId) -> Result<Self, Stop> {
        let account = Self::open_for_mail(read, now, id).await?;
        match account.row.state() {
            AccountState::Active => Ok(account),
            AccountState::Suspended | AccountState::Removing => Err(Refusal::Closed.into()),
        }
    }

    /// Opens the account for arriving mail, which a suspended account takes.
    pub(crate) async fn open_for_mail(
        read: &impl Read,
        now: Millis,
        id: AccountId,
    ) -> Result<Self, Stop> {
        let keys = [key::account(id), key::counters(id)];
        let values = read.get_many(&keys).await?;
        let Some(Some(account)) = values.first() else {
            return Err(Refusal::NotFound("account".into()).into());
        };
        let row: row::Account = row::decode(&keys[0], account)?;
        if row.state() == AccountState::Removing || row.expired(now) {
            return Err(Refusal::Closed.into());
        }
        let counters = match values.get(1) {
            Some(Some(counters)) => row::decode(&keys[1], counters)?,
            _ => row::Counters::default(),
        };
        Ok(Self { id, row, counters })
    }

    /// The next MODSEQ.
    pub(crate) fn next_mod_seq(&mut self) -> ModSeq {
        self.counters.last_mod_seq += 1;
        ModSeq(self.counters.last_mod_seq)
    }

    /// The next mailbox id.
    pub(crate) fn next_mailbox(&mut self) -> MailboxId {
        self.counters.last_mailbox += 1;
        MailboxId(self.counters.last_mailbox)
    }

    /// The next UIDVALIDITY: seconds at first, so that it does not repeat even
    /// if the account is added anew, and always above the last
    /// (RFC 9051 §2.3.1.1).
    pub(crate) fn next_uid_validity(&mut self, now: Millis) -> UidValidity {
        let seconds = u32::try_from(now.seconds()).unwrap_or(u32::MAX);
        let next = self.counters.last_uid_validity.saturating_add(1);
        self.counters.last_uid_validity = next.max(seconds);
        UidValidity(self.counters.last_uid_validity)
    }

    /// Whether `messages` more of `bytes` together fit the quota.
    pub(crate) fn has_room(&self, bytes: u64, messages: u64) -> bool {
        let limit = self.row.limit();
        let fits = |used: u64, more: u64, limit: Option<u64>| {
            limit.is_none_or(|limit| used.saturating_add(more) <= limit)
        };
        fits(self.counters.bytes, bytes, limit.bytes)
            && fits(self.counters.messages, messages, limit.messages)
    }

    /// Writes the counters.
    pub(crate) fn save(&self, txn: &mut impl Txn) {
        row::put(txn, key::counters(self.id), &self.counters);
    }
}
