//! A mailbox in the hands of a command: the one place where messages come,
//! change and go, so that rows, counters, change log and indexes agree.

use postrider_kv::{self as kv, Range, Read, Txn};
use postrider_types::{AccountId, MailboxId, Millis, ModSeq, Uid, UidValidity};

use crate::account::Account;
use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::view::{MailboxView, SpecialUse};
use crate::{key, limit, name, row};

/// The mailbox, as read and changed so far.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    pub(crate) account: AccountId,
    pub(crate) id: MailboxId,
    pub(crate) row: row::Mailbox,
}

impl Mailbox {
    /// The mailbox with this id.
    pub(crate) async fn by_id(
        read: &impl Read,
        account: AccountId,
        id: MailboxId,
    ) -> kv::Result<Option<Self>> {
        let row = row::get(read, &key::mailbox(account, id)).await?;
        Ok(row.map(|row| Self { account, id, row }))
    }

    /// The mailbox with this name, in its normal form.
    pub(crate) async fn by_name(
        read: &impl Read,
        account: AccountId,
        name: &str,
    ) -> kv::Result<Option<Self>> {
        let found: Option<row::MailboxName> =
            row::get(read, &key::mailbox_name(account, name)).await?;
        match found {
            Some(found) => Self::by_id(read, account, MailboxId(found.mailbox)).await,
            None => Ok(None),
        }
    }

    /// The first mailbox in the order of names whose name is `name` but for case.
    /// Looks at all names of the account, which are bounded.
    pub(crate) async fn by_name_in_any_case(
        read: &impl Read,
        account: AccountId,
        name: &str,
    ) -> kv::Result<Option<Self>> {
        let lower = name.to_lowercase();
        let names = Range::prefix(&key::mailbox_names(account), limit::MAILBOXES as usize);
        for (key, value) in read.range(names).await? {
            let stored = key::mailbox_name_of(&key).ok_or_else(|| row::bad_key(&key))?;
            if stored.to_lowercase() == lower {
                let found: row::MailboxName = row::decode(&key, &value)?;
                return Self::by_id(read, account, MailboxId(found.mailbox)).await;
            }
        }
        Ok(None)
    }

    /// Creates a mailbox whose name is free and in its normal form.
    pub(crate) fn create(
        txn: &mut impl Txn,
        account: &mut Account,
        now: Millis,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<Self, Refusal> {
        if account.counters.mailboxes >= limit::MAILBOXES {
            return Err(Refusal::Limit(format!(
                "an account has at most {} mailboxes",
                limit::MAILBOXES
            )));
        }
        account.counters.mailboxes += 1;
        let id = account.next_mailbox();
        let row = row::Mailbox {
            name: name.to_owned(),
            uid_validity: account.next_uid_validity(now).0,
            special_use: row::special_use_code(special_use),
            uid_next: 1,
            highest_mod_seq: account.next_mod_seq().0,
            first_recent: 1,
            ..row::Mailbox::default()
        };
        row::put(
            txn,
            key::mailbox_name(account.id, name),
            &row::MailboxName { mailbox: id.0 },
        );
        let mailbox = Self {
            account: account.id,
            id,
            row,
        };
        mailbox.save(txn);
        Ok(mailbox)
    }

    /// Creates a mailbox with its missing superiors (RFC 9051 §6.3.4).
    pub(crate) async fn create_with_superiors<T: Txn>(
        txn: &mut T,
        account: &mut Account,
        now: Millis,
        name: &str,
        special_use: Option<SpecialUse>,
    ) -> Result<Self, Stop> {
        let mut names: Vec<&str> = name::superiors(name).collect();
        names.push(name);
        let keys: Vec<_> = names
            .iter()
            .map(|name| key::mailbox_name(account.id, name))
            .collect();
        let mut found = txn.get_many(&keys).await?;
        if found.pop().flatten().is_some() {
            return Err(name::exists(name).into());
        }
        for (superior, found) in names.iter().zip(found) {
            if found.is_none() {
                Self::create(txn, account, now, superior, None)?;
            }
        }
        Ok(Self::create(txn, account, now, name, special_use)?)
    }

    /// Adds a message under the next UID.
    pub(crate) fn add(
        &mut self,
        txn: &mut impl Txn,
        account: &mut Account,
        mut message: row::Message,
    ) -> Result<Uid, Refusal> {
        let uid = Uid(self.row.uid_next);
        if uid.0 == u32::MAX {
            return Err(Refusal::Limit(
                "the mailbox has given out all its UIDs: copy its messages to a new one".into(),
            ));
        }
        self.row.uid_next += 1;
        let mod_seq = account.next_mod_seq();
        self.row.highest_mod_seq = mod_seq.0;
        message.mod_seq = mod_seq.0;
        self.row.messages += 1;
        self.row.unseen += u32::from(!message.is_seen());
        self.row.size += message.size;
        account.counters.bytes += message.size;
        account.counters.messages += 1;
        if message.is_deleted() {
            self.row.deleted += 1;
            txn.put(key::deleted(self.account, self.id, uid), row::EMPTY);
        }
        self.put_message(txn, uid, mod_seq, &message);
        Ok(uid)
    }

    /// Writes a message whose flags differ from those in `before`, under a new
    /// MODSEQ, which it returns.
    pub(crate) fn change(
        &mut self,
        txn: &mut impl Txn,
        account: &mut Account,
        uid: Uid,
        before: &row::Message,
        mut after: row::Message,
    ) -> ModSeq {
        let mod_seq = account.next_mod_seq();
        self.row.highest_mod_seq = mod_seq.0;
        after.mod_seq = mod_seq.0;
        let old = ModSeq(before.mod_seq);
        txn.delete(key::changed(self.account, self.id, old));
        match (before.is_seen(), after.is_seen()) {
            (true, false) => self.row.unseen += 1,
            (false, true) => self.row.unseen = self.row.unseen.saturating_sub(1),
            _ => {}
        }
        let deleted = key::deleted(self.account, self.id, uid);
        match (before.is_deleted(), after.is_deleted()) {
            (true, false) => {
                self.row.deleted = self.row.deleted.saturating_sub(1);
                txn.delete(deleted);
            }
            (false, true) => {
                self.row.deleted += 1;
                txn.put(deleted, row::EMPTY);
            }
            _ => {}
        }
        self.put_message(txn, uid, mod_seq, &after);
        mod_seq
    }

    fn put_message(&self, txn: &mut impl Txn, uid: Uid, at: ModSeq, message: &row::Message) {
        row::put(txn, key::message(self.account, self.id, uid), message);
        row::put(
            txn,
            key::changed(self.account, self.id, at),
            &row::Changed { uid: uid.0 },
        );
    }

    /// Removes messages, ascending by UID, in one entry of the log. The bodies'
    /// references are the caller's. Returns the MODSEQ of the removal.
    pub(crate) async fn remove<T: Txn>(
        &mut self,
        txn: &mut T,
        account: &mut Account,
        now: Millis,
        messages: &[(Uid, row::Message)],
    ) -> kv::Result<ModSeq> {
        if messages.is_empty() {
            return Ok(ModSeq(self.row.highest_mod_seq));
        }
        for (uid, message) in messages {
            let mod_seq = ModSeq(message.mod_seq);
            txn.delete(key::message(self.account, self.id, *uid));
            txn.delete(key::changed(self.account, self.id, mod_seq));
            if message.is_deleted() {
                txn.delete(key::deleted(self.account, self.id, *uid));
                self.row.deleted = self.row.deleted.saturating_sub(1);
            }
            let unseen = u32::from(!message.is_seen());
            self.row.unseen = self.row.unseen.saturating_sub(unseen);
            self.row.messages = self.row.messages.saturating_sub(1);
            self.row.size = self.row.size.saturating_sub(message.size);
            account.counters.bytes = account.counters.bytes.saturating_sub(message.size);
            account.counters.messages = account.counters.messages.saturating_sub(1);
        }
        let mod_seq = account.next_mod_seq();
        self.row.highest_mod_seq = mod_seq.0;
        let uids: Vec<Uid> = messages.iter().map(|(uid, _)| *uid).collect();
        row::put(
            txn,
            key::vanished(self.account, self.id, mod_seq),
            &row::Vanished::new(now.0, &uids),
        );
        txn.put(
            key::vanished_time(now, self.account, self.id, mod_seq),
            row::EMPTY,
        );
        self.row.vanished += 1;
        self.bound_log(txn).await?;
        Ok(mod_seq)
    }

    /// Keeps the log of removals within its bound: the oldest go first.
    async fn bound_log<T: Txn>(&mut self, txn: &mut T) -> kv::Result<()> {
        let Some(over @ 1..) = self.row.vanished.checked_sub(limit::LOG_ENTRIES) else {
            return Ok(());
        };
        let oldest = Range::prefix(&key::vanished_of(self.account, self.id), over as usize);
        for (entry, vanished) in row::range::<row::Vanished>(txn, oldest).await? {
            let mod_seq = key::mod_seq_of(&entry).ok_or_else(|| row::bad_key(&entry))?;
            self.forget(txn, Millis(vanished.at), mod_seq);
        }
        Ok(())
    }

    /// Removes one entry from the log of removals, which from now on reaches
    /// back only to it.
    pub(crate) fn forget(&mut self, txn: &mut impl Txn, at: Millis, mod_seq: ModSeq) {
        txn.delete(key::vanished(self.account, self.id, mod_seq));
        txn.delete(key::vanished_time(at, self.account, self.id, mod_seq));
        self.row.vanished = self.row.vanished.saturating_sub(1);
        self.row.log_floor = self.row.log_floor.max(mod_seq.0);
    }

    /// Writes the mailbox's row.
    pub(crate) fn save(&self, txn: &mut impl Txn) {
        row::put(txn, key::mailbox(self.account, self.id), &self.row);
    }

    /// The mailbox as queries show it.
    pub(crate) fn view(&self, subscribed: bool) -> MailboxView {
        let row = &self.row;
        MailboxView {
            id: self.id,
            name: row.name.clone(),
            uid_validity: UidValidity(row.uid_validity),
            uid_next: Uid(row.uid_next),
            highest_mod_seq: ModSeq(row.highest_mod_seq),
            special_use: row::special_use(row.special_use),
            subscribed,
            messages: row.messages,
            unseen: row.unseen,
            deleted: row.deleted,
            size: row.size,
            first_recent: Uid(row.first_recent),
        }
    }
}

/// Subscribes the account to a name, or no longer.
pub(crate) async fn subscribe<T: Txn>(
    txn: &mut T,
    account: &mut Account,
    name: &str,
    subscribed: bool,
) -> Result<(), Stop> {
    let key = key::subscription(account.id, name);
    match (txn.get(&key).await?.is_some(), subscribed) {
        (false, true) => {
            if account.counters.subscriptions >= limit::SUBSCRIPTIONS {
                return Err(Refusal::Limit(format!(
                    "an account subscribes to at most {} names",
                    limit::SUBSCRIPTIONS
                ))
                .into());
            }
            account.counters.subscriptions += 1;
            txn.put(key, row::EMPTY);
        }
        (true, false) => {
            account.counters.subscriptions = account.counters.subscriptions.saturating_sub(1);
            txn.delete(key);
        }
        _ => {}
    }
    Ok(())
}

/// Gives a new account INBOX and the default mailboxes, all subscribed, and
/// writes its counters. The account's row must stand already.
pub(crate) async fn first_mailboxes<T: Txn>(
    txn: &mut T,
    cx: &Context,
    id: AccountId,
    defaults: &[row::DefaultMailbox],
) -> Result<(), Stop> {
    let mut account = Account {
        id,
        row: row::Account::default(),
        counters: row::Counters::default(),
    };
    Mailbox::create(txn, &mut account, cx.now, name::INBOX, None)?;
    subscribe(txn, &mut account, name::INBOX, true).await?;
    for default in defaults {
        let special_use = row::special_use(default.special_use);
        // One default may be the superior of another and exist by now.
        let made =
            Mailbox::create_with_superiors(txn, &mut account, cx.now, &default.name, special_use);
        match made.await {
            Ok(_) => {}
            Err(Stop::Refused(Refusal::Exists(_))) => {
                let found = Mailbox::by_name(txn, id, &default.name).await?;
                if let Some(mut mailbox) = found {
                    mailbox.row.special_use = default.special_use;
                    mailbox.save(txn);
                }
            }
            Err(stop) => return Err(stop),
        }
        subscribe(txn, &mut account, &default.name, true).await?;
    }
    account.save(txn);
    Ok(())
}
