//! Renames a mailbox with its inferiors, or empties INBOX into a new one.

use postrider_kv::{Range, Txn};
use postrider_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::api::{Context, Refusal};
use crate::mailbox::Mailbox;
use crate::stop::Stop;
use crate::uids::Uids;
use crate::view::UidRanges;
use crate::{key, limit, name, row};

/// Renames a mailbox with its inferiors; of INBOX it moves the messages
/// (RFC 9051 §6.3.6). Refused with [`Refusal::Limit`] above 1,000 inferiors, or
/// 1,000 messages in INBOX. Subscriptions stay with the names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RenameMailbox {
    /// The account.
    pub account: AccountId,
    /// The name.
    pub from: String,
    /// The new name.
    pub to: String,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: RenameMailbox,
) -> Result<(), Stop> {
    let from = name::normal(&command.from);
    let to = command.to.strip_suffix('/').unwrap_or(&command.to);
    let to = name::check(to)?;
    let mut account = Account::open(txn, cx.now, command.account).await?;
    let Some(mailbox) = Mailbox::by_name(txn, account.id, &from).await? else {
        return Err(name::missing(&from).into());
    };
    if from == name::INBOX {
        empty_inbox(txn, cx, &mut account, mailbox, &to).await?;
    } else {
        rename(txn, cx, &mut account, mailbox, &from, &to).await?;
    }
    account.save(txn);
    Ok(())
}

async fn rename<T: Txn>(
    txn: &mut T,
    cx: &Context,
    account: &mut Account,
    mailbox: Mailbox,
    from: &str,
    to: &str,
) -> Result<(), Stop> {
    let below = format!("{from}/");
    if to.starts_with(&below) {
        let text = format!("{from} cannot become an inferior of itself");
        return Err(Refusal::Invalid(text).into());
    }
    let mut keys: Vec<_> = name::superiors(to).collect();
    keys.push(to);
    let names = keys.clone();
    let keys: Vec<_> = keys
        .into_iter()
        .map(|name| key::mailbox_name(account.id, name))
        .collect();
    let mut found = txn.get_many(&keys).await?;
    if found.pop().flatten().is_some() {
        return Err(name::exists(to).into());
    }
    let prefix = key::mailbox_names_from(account.id, &below);
    let inferiors = txn
        .range(Range::prefix(&prefix, limit::INFERIORS + 1))
        .await?;
    if inferiors.len() > limit::INFERIORS {
        let most = limit::INFERIORS;
        let text = format!("{from} has more than {most} inferiors: rename those in parts first");
        return Err(Refusal::Limit(text).into());
    }
    let mut moves = vec![(from.to_owned(), to.to_owned(), mailbox)];
    for (key, _) in inferiors {
        let old = key::mailbox_name_of(&key).ok_or_else(|| row::bad_key(&key))?;
        let rest = old.strip_prefix(&below).unwrap_or_default();
        let new = name::check(&format!("{to}/{rest}"))?;
        if let Some(mailbox) = Mailbox::by_name(txn, account.id, &old).await? {
            moves.push((old, new, mailbox));
        }
    }
    // RFC 9051 §6.3.6: missing superiors are created.
    for (superior, found) in names.iter().zip(found) {
        if found.is_none() {
            Mailbox::create(txn, account, cx.now, superior, None)?;
        }
    }
    for (old, new, mut mailbox) in moves {
        txn.delete(key::mailbox_name(account.id, &old));
        let id = mailbox.id.0;
        row::put(
            txn,
            key::mailbox_name(account.id, &new),
            &row::MailboxName { mailbox: id },
        );
        mailbox.row.name = new;
        mailbox.save(txn);
    }
    Ok(())
}

/// RFC 9051 §6.3.6: renaming INBOX moves its messages to a new mailbox and
/// leaves INBOX empty; its inferiors stay.
async fn empty_inbox<T: Txn>(
    txn: &mut T,
    cx: &Context,
    account: &mut Account,
    mut inbox: Mailbox,
    to: &str,
) -> Result<(), Stop> {
    let most = limit::INBOX_RENAME;
    if inbox.row.messages > most {
        let text = format!("INBOX has more than {most} messages: move them in parts instead");
        return Err(Refusal::Limit(text).into());
    }
    let mut target = Mailbox::create_with_superiors(txn, account, cx.now, to, None).await?;
    let all = Uids::new(&UidRanges(vec![1..=u32::MAX]));
    let messages = all
        .messages(txn, account.id, inbox.id, most as usize)
        .await?;
    for (_, message) in &messages {
        target.add(txn, account, message.clone())?;
    }
    inbox.remove(txn, account, cx.now, &messages).await?;
    target.save(txn);
    inbox.save(txn);
    Ok(())
}
