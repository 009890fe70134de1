//! Mailboxes, messages and the change log.

use std::collections::{BTreeMap, BTreeSet};

use postrider_kv::{self as kv, Read};
use postrider_types::{AccountId, BodyId, MailboxId, Millis, ModSeq, Uid};

use super::{Walk, look_up, parsed, row_of};
use crate::view::AccountState;
use crate::{key, row};

/// What bodies are named how often.
pub(super) type References = BTreeMap<BodyId, u64>;

/// Checks all accounts' mail. Answers how often each body is named.
pub(super) async fn check<R: Read>(
    read: &R,
    accounts: &BTreeMap<AccountId, row::Account>,
    findings: &mut Vec<String>,
) -> kv::Result<References> {
    let mut references = References::new();
    let mut removals = BTreeSet::new();
    for (id, row) in accounts {
        let mut check = Check {
            read,
            account: *id,
            references: &mut references,
            removals: &mut removals,
            findings,
        };
        check.run(row.state() == AccountState::Removing).await?;
    }
    let mut walk = Walk::new(read, &key::vanished_times());
    while let Some(pairs) = walk.next().await? {
        for (key, _) in pairs {
            let found = parsed(&key, key::vanished_time_of(&key), findings);
            if let Some(found) = found.filter(|found| !removals.remove(found)) {
                findings.push(format!("an index points to no removal: {found:?}"));
            }
        }
    }
    for removal in removals {
        findings.push(format!(
            "no index by time points to the removal {removal:?}"
        ));
    }
    Ok(references)
}

/// What was counted in one mailbox.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    messages: u32,
    unseen: u32,
    deleted: u32,
    size: u64,
    vanished: u32,
}

struct Check<'a, R> {
    read: &'a R,
    account: AccountId,
    references: &'a mut References,
    removals: &'a mut BTreeSet<(Millis, AccountId, MailboxId, ModSeq)>,
    findings: &'a mut Vec<String>,
}

impl<R: Read> Check<'_, R> {
    async fn run(&mut self, removing: bool) -> kv::Result<()> {
        let account = self.account;
        let counters: Option<row::Counters> =
            look_up(self.read, &key::counters(account), self.findings).await?;
        let Some(counters) = counters else {
            self.findings
                .push(format!("account {account}: has no counters"));
            return Ok(());
        };
        let mut purging = BTreeSet::new();
        let mut walk = Walk::new(self.read, &key::purges_of(account));
        while let Some(pairs) = walk.next().await? {
            let tasks = pairs.iter().filter_map(|(key, _)| key::purge_of(key));
            purging.extend(tasks.filter_map(|(_, mailbox)| mailbox));
        }
        let mailboxes = self.mailboxes(&counters).await?;
        let mut counted = self.messages(&mailboxes).await?;
        self.log(&mut counted).await?;
        // A purge is half done at any time.
        counted.retain(|id, _| !purging.contains(id));
        if removing {
            return Ok(());
        }
        let (mut bytes, mut messages) = (0, 0);
        for (id, row) in &mailboxes {
            let found = counted.remove(id).unwrap_or_default();
            let told = Counted {
                messages: row.messages,
                unseen: row.unseen,
                deleted: row.deleted,
                size: row.size,
                vanished: row.vanished,
            };
            if found != told {
                let text = format!("{}: tells {told:?}, has {found:?}", self.name(*id));
                self.findings.push(text);
            }
            bytes += found.size;
            messages += u64::from(found.messages);
        }
        for id in counted.keys() {
            let text = format!("{}: has rows, but does not exist", self.name(*id));
            self.findings.push(text);
        }
        if (counters.bytes, counters.messages) != (bytes, messages) {
            self.findings.push(format!(
                "account {account}: tells {} bytes and {} messages, has {bytes} and {messages}",
                counters.bytes, counters.messages
            ));
        }
        Ok(())
    }

    fn name(&self, mailbox: MailboxId) -> String {
        format!("account {}, mailbox {mailbox}", self.account)
    }

    async fn mailboxes(
        &mut self,
        counters: &row::Counters,
    ) -> kv::Result<BTreeMap<MailboxId, row::Mailbox>> {
        let account = self.account;
        let mut mailboxes = BTreeMap::new();
        let mut validities = BTreeSet::new();
        let mut walk = Walk::new(self.read, &key::mailboxes(account));
        while let Some(pairs) = walk.next().await? {
            for (key, value) in pairs {
                let id = parsed(&key, key::mailbox_of(&key), self.findings);
                let row = row_of::<row::Mailbox>(&key, &value, self.findings);
                let (Some(id), Some(row)) = (id, row) else {
                    continue;
                };
                let name: Option<row::MailboxName> = look_up(
                    self.read,
                    &key::mailbox_name(account, &row.name),
                    self.findings,
                )
                .await?;
                let wrong = [
                    (
                        name.is_none_or(|name| name.mailbox != id.0),
                        "its name leads elsewhere",
                    ),
                    (id.0 > counters.last_mailbox, "its id was not given out"),
                    (
                        row.highest_mod_seq > counters.last_mod_seq,
                        "its MODSEQ was not given out",
                    ),
                    (
                        row.log_floor > row.highest_mod_seq,
                        "its log begins in the future",
                    ),
                    (
                        row.first_recent > row.uid_next,
                        "its recent messages are in the future",
                    ),
                    (
                        row.uid_validity > counters.last_uid_validity,
                        "its UIDVALIDITY was not given out",
                    ),
                    (
                        !validities.insert(row.uid_validity),
                        "its UIDVALIDITY is another's",
                    ),
                ];
                for (_, text) in wrong.iter().filter(|(wrong, _)| *wrong) {
                    let text = format!("{}: {text}", self.name(id));
                    self.findings.push(text);
                }
                mailboxes.insert(id, row);
            }
        }
        let names = self.count(&key::mailbox_names(account)).await?;
        let subscriptions = self.count(&key::subscriptions(account)).await?;
        let found = (mailboxes.len(), names, subscriptions);
        let told = counters.mailboxes as usize;
        if found != (told, told, counters.subscriptions as usize) {
            self.findings.push(format!(
                "account {account}: tells {told} mailboxes and {} subscriptions, \
                 has (rows, names, subscriptions) {found:?}",
                counters.subscriptions
            ));
        }
        if !mailboxes.values().any(|row| row.name == crate::name::INBOX) {
            self.findings
                .push(format!("account {account}: has no INBOX"));
        }
        Ok(mailboxes)
    }

    async fn count(&self, prefix: &[u8]) -> kv::Result<usize> {
        let mut count = 0;
        let mut walk = Walk::new(self.read, prefix);
        while let Some(pairs) = walk.next().await? {
            count += pairs.len();
        }
        Ok(count)
    }

    async fn messages(
        &mut self,
        mailboxes: &BTreeMap<MailboxId, row::Mailbox>,
    ) -> kv::Result<BTreeMap<MailboxId, Counted>> {
        let account = self.account;
        let mut all: BTreeMap<MailboxId, Counted> = BTreeMap::new();
        let mut walk = Walk::new(self.read, &key::all_messages(account));
        while let Some(pairs) = walk.next().await? {
            for (key, value) in pairs {
                let id = parsed(&key, key::mailbox_of(&key), self.findings);
                let uid = parsed(&key, key::uid_of(&key), self.findings);
                let row = row_of::<row::Message>(&key, &value, self.findings);
                let (Some(id), Some(uid), Some(row)) = (id, uid, row) else {
                    continue;
                };
                let counted = all.entry(id).or_default();
                counted.messages += 1;
                counted.unseen += u32::from(!row.is_seen());
                counted.size += row.size;
                match row.body_id() {
                    Ok(body) => *self.references.entry(body).or_default() += 1,
                    Err(error) => self.findings.push(error.to_string()),
                }
                if let Some(mailbox) = mailboxes.get(&id) {
                    self.message(id, uid, &row, mailbox).await?;
                }
            }
        }
        Ok(all)
    }

    async fn message(
        &mut self,
        id: MailboxId,
        uid: Uid,
        row: &row::Message,
        mailbox: &row::Mailbox,
    ) -> kv::Result<()> {
        let account = self.account;
        let at = ModSeq(row.mod_seq);
        let log: Option<row::Changed> =
            look_up(self.read, &key::changed(account, id, at), self.findings).await?;
        let deleted = self.read.get(&key::deleted(account, id, uid)).await?;
        let wrong = [
            (
                uid.0 == 0 || uid.0 >= mailbox.uid_next,
                "its UID was not given out",
            ),
            (
                row.mod_seq == 0 || row.mod_seq > mailbox.highest_mod_seq,
                "its MODSEQ is above the mailbox's",
            ),
            (
                log.is_none_or(|log| log.uid != uid.0),
                "the change log lacks it",
            ),
            (
                deleted.is_some() != row.is_deleted(),
                "the index of \\Deleted is wrong",
            ),
        ];
        for (_, text) in wrong.iter().filter(|(wrong, _)| *wrong) {
            let text = format!("{}, UID {uid}: {text}", self.name(id));
            self.findings.push(text);
        }
        Ok(())
    }

    /// Counts removals and `\Deleted` marks, and looks for entries that belong
    /// to no message.
    async fn log(&mut self, all: &mut BTreeMap<MailboxId, Counted>) -> kv::Result<()> {
        let account = self.account;
        let mut changes: BTreeMap<MailboxId, u32> = BTreeMap::new();
        let mut walk = Walk::new(self.read, &key::all_changes(account));
        while let Some(pairs) = walk.next().await? {
            for id in pairs.iter().filter_map(|(key, _)| key::mailbox_of(key)) {
                *changes.entry(id).or_default() += 1;
            }
        }
        let mut walk = Walk::new(self.read, &key::all_marks(account));
        while let Some(pairs) = walk.next().await? {
            for id in pairs.iter().filter_map(|(key, _)| key::mailbox_of(key)) {
                all.entry(id).or_default().deleted += 1;
            }
        }
        let mut walk = Walk::new(self.read, &key::all_vanished(account));
        while let Some(pairs) = walk.next().await? {
            for (key, value) in pairs {
                let id = parsed(&key, key::mailbox_of(&key), self.findings);
                let at = parsed(&key, key::mod_seq_of(&key), self.findings);
                let row = row_of::<row::Vanished>(&key, &value, self.findings);
                let (Some(id), Some(at), Some(row)) = (id, at, row) else {
                    continue;
                };
                all.entry(id).or_default().vanished += 1;
                self.removals.insert((Millis(row.at), account, id, at));
                for uid in row.uids() {
                    let left = self.read.get(&key::message(account, id, uid)).await?;
                    if left.is_some() {
                        let text = format!("{}, UID {uid}: removed, yet there", self.name(id));
                        self.findings.push(text);
                    }
                }
            }
        }
        for (id, counted) in all.iter() {
            let entries = changes.remove(id).unwrap_or_default();
            // Each message has its entry (checked there); more have no message.
            // While a mailbox is purged its log goes last.
            let exists = self.read.get(&key::mailbox(account, *id)).await?;
            if exists.is_some() && entries != counted.messages {
                let text = format!(
                    "{}: {entries} log entries for {} messages",
                    self.name(*id),
                    counted.messages
                );
                self.findings.push(text);
            }
        }
        for id in changes.into_keys() {
            all.entry(id).or_default();
            if self.read.get(&key::mailbox(account, id)).await?.is_some() {
                let text = format!("{}: log entries without a message", self.name(id));
                self.findings.push(text);
            }
        }
        Ok(())
    }
}
