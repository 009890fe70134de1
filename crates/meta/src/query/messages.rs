//! Messages of a mailbox by UID.

use bytes::Bytes;
use postrider_kv::{self as kv, Range, Read};
use postrider_types::{AccountId, BodyId, MailboxId, Millis, ModSeq, Uid};
use serde::{Deserialize, Serialize};

use crate::uids::{self, Uids};
use crate::view::{Detail, MessageView, UidRanges};
use crate::{key, row};

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

/// The most messages of an answer.
const MOST: usize = 10_000;
/// An answer ends when its messages occupy about this much.
const BYTES: usize = 4 * 1024 * 1024;
/// Rows are read in pieces of this many, so that an answer that ends early has
/// not read far ahead.
const PIECE: usize = 500;
/// Summaries are read so many at a time: a sender chooses how long one is, up
/// to some 400 KiB.
const SUMMARIES: usize = 16;
/// An answer ends when it has looked at this many rows.
const LOOKED_AT: usize = 50_000;
/// What a message occupies beside its bytes.
const OVERHEAD: usize = 128;

pub(super) async fn answer<R: Read>(read: &R, query: Messages) -> kv::Result<MessagePage> {
    let limit = (query.limit as usize).clamp(1, MOST);
    let mut page = MessagePage {
        messages: Vec::new(),
        next: None,
    };
    let mut rest = wanted(read, &query).await?;
    let (mut bytes, mut looked_at) = (0, 0);
    loop {
        let piece = PIECE.min(limit - page.messages.len());
        let found = rest
            .messages(read, query.account, query.mailbox, piece)
            .await?;
        let end = found.len() < piece;
        looked_at += found.len();
        let last = found.last().map(|(uid, _)| *uid);
        let changed = |row: &row::Message| row.mod_seq > query.changed_since.0;
        let found: Vec<_> = found.into_iter().filter(|(_, row)| changed(row)).collect();
        let mut summaries = Vec::new().into_iter();
        for (place, (uid, row)) in found.iter().enumerate() {
            if bytes >= BYTES {
                page.next = Some(*uid);
                return Ok(page);
            }
            if query.detail == Detail::Summary && place % SUMMARIES == 0 {
                let end = found.len().min(place + SUMMARIES);
                summaries = self::summaries(read, &found[place..end]).await?.into_iter();
            }
            let summary = summaries.next().flatten().unwrap_or_default();
            let message = view(*uid, row, summary, query.detail)?;
            bytes += OVERHEAD + message.prefix.len() + message.summary.len();
            page.messages.push(message);
        }
        let Some(last) = last.filter(|last| !end && last.0 < u32::MAX) else {
            return Ok(page);
        };
        rest = rest.from(Uid(last.0 + 1));
        if page.messages.len() >= limit || looked_at >= LOOKED_AT || bytes >= BYTES {
            page.next = rest.first();
            return Ok(page);
        }
    }
}

/// The UIDs to look at. Where only some have changed the change log names them;
/// where many have, reading all rows is no worse.
async fn wanted<R: Read>(read: &R, query: &Messages) -> kv::Result<Uids> {
    let all = Uids::new(&query.uids);
    if query.changed_since.0 == 0 {
        return Ok(all);
    }
    let since = key::changed(query.account, query.mailbox, query.changed_since);
    let log = Range::prefix(&key::changes(query.account, query.mailbox), MOST).after(&since);
    let changes = row::range::<row::Changed>(read, log).await?;
    if changes.len() == MOST {
        return Ok(all);
    }
    let uids = changes.iter().map(|(_, changed)| changed.uid);
    let uids = uids.filter(|uid| all.contains(Uid(*uid)));
    Ok(Uids::new(&UidRanges(uids.map(|uid| uid..=uid).collect())))
}

async fn summaries<R: Read>(
    read: &R,
    messages: &[(Uid, row::Message)],
) -> kv::Result<Vec<Option<Bytes>>> {
    let keys = messages
        .iter()
        .map(|(_, row)| row.body_id().map(key::summary))
        .collect::<kv::Result<Vec<_>>>()?;
    read.get_many(&keys).await
}

/// A message's row as queries show it.
pub(super) fn view(
    uid: Uid,
    row: &row::Message,
    summary: Bytes,
    detail: Detail,
) -> kv::Result<MessageView> {
    let mut message = MessageView {
        uid,
        mod_seq: ModSeq(row.mod_seq),
        flags: row.flags(),
        internal_date: Millis(0),
        zone: 0,
        size: 0,
        body: BodyId::from_bytes([0; 16]),
        prefix: Bytes::new(),
        summary,
    };
    if detail != Detail::Flags {
        message.internal_date = Millis(row.internal_date);
        message.zone = i16::try_from(row.zone).unwrap_or(0);
        message.size = row.size;
        message.body = row.body_id()?;
        message.prefix = row.prefix.clone();
    }
    Ok(message)
}

/// The messages among `uids` as they are now, in their order, flags only.
pub(super) async fn flags_of<R: Read>(
    read: &R,
    account: AccountId,
    mailbox: MailboxId,
    uids: &[Uid],
) -> kv::Result<Vec<MessageView>> {
    let found = uids::existing(read, account, mailbox, uids).await?;
    found
        .into_iter()
        .map(|(uid, row)| view(uid, &row, Bytes::new(), Detail::Flags))
        .collect()
}

#[cfg(test)]
mod tests;
