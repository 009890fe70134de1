//! [`Source`]: the messages of a FETCH with all that the command needs of them,
//! in batches of bounded size, ready to be read ahead by a task of its own.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use postrider_body::{Bodies, Error as BodyError, Reader};
use postrider_message::{Part, Summary};
use postrider_meta::{Client, Detail, MessageView, ReadAt, Token, UidRanges, query};
use postrider_types::{AccountId, BodyId, MailboxId};

use super::Plan;
use super::content::{self, Content, MAX_HEADER};
use crate::error::Fail;

/// Bodies up to this size are read whole.
const SMALL: u64 = 64 * 1024;
/// Body bytes in one batch.
const BATCH: u64 = 1 << 20;
/// Bodies that are read at once.
const AT_ONCE: usize = 8;
/// How much of a large body is read at once.
pub(crate) const PIECE: u64 = 128 * 1024;

/// A message with what is needed of it.
pub(crate) struct Message {
    pub(crate) view: MessageView,
    /// With [`Detail::Summary`].
    pub(crate) summary: Option<Summary>,
    /// Where the plan wants it.
    pub(crate) structure: Option<Part>,
    pub(crate) body: Body,
    /// This command set `\Seen`: its flags are told.
    pub(crate) seen_now: bool,
}

/// The bytes of a message's body.
pub(crate) enum Body {
    /// Not needed.
    Unread,
    /// All of it.
    Whole(Bytes),
    /// To be streamed. The first piece of each item that needs the body was
    /// read, so that a store that is away is noticed before a literal is
    /// announced: the item's place in the plan and the piece.
    Stream(Box<Reader>, Vec<(usize, Bytes)>),
}

impl Message {
    /// Where the header ends, counted from the prefix's first byte.
    pub(crate) fn header_end(&self) -> u64 {
        let header = self.summary.as_ref().map_or(0, |s| s.header_length);
        (self.view.prefix.len() as u64).saturating_add(header)
    }

    fn body_size(&self) -> u64 {
        self.view.size.saturating_sub(self.view.prefix.len() as u64)
    }
}

/// Some messages, ascending by UID.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) messages: Vec<Message>,
    /// What went wrong with others: the reply to the command.
    pub(crate) failure: Option<Fail>,
}

/// What a source reads from.
pub(crate) struct Settings {
    pub(crate) meta: Client,
    pub(crate) bodies: Bodies,
    pub(crate) account: AccountId,
    pub(crate) mailbox: MailboxId,
    pub(crate) token: Token,
    pub(crate) plan: Arc<Plan>,
}

/// Reads messages.
pub(crate) struct Source {
    from: Settings,
    /// What was not asked for yet.
    chunks: VecDeque<UidRanges>,
    /// Rows whose bodies were not read yet.
    queue: VecDeque<Message>,
}

impl Source {
    /// A source of the messages in `chunks`, each of which is one query.
    pub(crate) fn new(from: Settings, chunks: Vec<UidRanges>) -> Self {
        Self {
            from,
            chunks: chunks.into(),
            queue: VecDeque::new(),
        }
    }

    /// The next messages; None at the end. After a failure that will hit all
    /// others too nothing more comes.
    pub(crate) async fn next(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        while self.queue.is_empty() {
            let uids = self.chunks.pop_front()?;
            if let Err(fail) = self.read_rows(uids).await {
                self.stop();
                batch.failure = Some(fail);
                return Some(batch);
            }
        }
        if !self.from.plan.bytes {
            batch.messages = std::mem::take(&mut self.queue).into();
            return Some(batch);
        }
        let mut weight = 0;
        while weight < BATCH
            && let Some(message) = self.queue.pop_front()
        {
            weight += self.weight(&message);
            batch.messages.push(message);
        }
        if !self.read_bodies(&mut batch).await {
            self.stop();
        }
        Some(batch)
    }

    fn stop(&mut self) {
        self.chunks.clear();
        self.queue.clear();
    }

    async fn read_rows(&mut self, uids: UidRanges) -> Result<(), Fail> {
        let plan = &self.from.plan;
        let query = query::Messages {
            account: self.from.account,
            mailbox: self.from.mailbox,
            uids,
            detail: plan.detail,
            changed_since: plan.changed_since,
            limit: 10_000,
        };
        let at = ReadAt::AtLeast(self.from.token);
        let mut uids = query.uids.clone();
        let (page, _) = self.from.meta.ask(query, at).await?;
        if let Some(next) = page.next {
            uids.0.retain_mut(|range| {
                *range = next.0.max(*range.start())..=*range.end();
                !range.is_empty()
            });
            if !uids.0.is_empty() {
                self.chunks.push_front(uids);
            }
        }
        self.queue.reserve(page.messages.len());
        for view in page.messages {
            let summary = match plan.detail {
                Detail::Summary => Some(Summary::from_bytes(view.summary.clone())?),
                Detail::Flags | Detail::Row => None,
            };
            let structure = match &summary {
                Some(summary) if plan.structure => Some(summary.structure()?),
                _ => None,
            };
            self.queue.push_back(Message {
                view,
                summary,
                structure,
                body: Body::Unread,
                seen_now: false,
            });
        }
        Ok(())
    }

    /// The bytes of the body that an item needs, and how many of them are read
    /// before the item is told.
    fn needed(
        &self,
        message: &Message,
    ) -> impl Iterator<Item = (usize, std::ops::Range<u64>, u64)> {
        let items = self.from.plan.items.iter().enumerate();
        items.filter_map(|(index, item)| {
            if !super::tells_bytes(item) {
                return None;
            }
            let content = content::content(item, message);
            let range = content::needed_body(&content, message)?;
            let length = range.end - range.start;
            let whole = matches!(content, Content::Fields(..)) && length <= MAX_HEADER;
            Some((index, range, if whole { length } else { length.min(PIECE) }))
        })
    }

    /// About how many bytes the message's body will hold in memory.
    fn weight(&self, message: &Message) -> u64 {
        let size = message.body_size();
        let pieces: u64 = self.needed(message).map(|(_, _, first)| first).sum();
        if pieces > 0 && size <= SMALL {
            size
        } else {
            pieces
        }
    }

    /// Reads the bodies of a batch; false if there is no use in going on.
    async fn read_bodies(&self, batch: &mut Batch) -> bool {
        let wanted = |m: &Message| self.needed(m).next().is_some();
        let wants: Vec<bool> = batch.messages.iter().map(wanted).collect();
        let ids: Vec<BodyId> = batch
            .messages
            .iter()
            .zip(&wants)
            .filter_map(|(message, wants)| wants.then_some(message.view.body))
            .collect();
        if ids.is_empty() {
            return true;
        }
        let readers = match self.from.bodies.open_many(&ids).await {
            Ok(readers) => readers,
            Err(error) => {
                batch.messages.clear();
                batch.failure = Some(error.into());
                return false;
            }
        };
        let mut readers = readers.into_iter();
        let messages = std::mem::take(&mut batch.messages);
        let work = messages.into_iter().zip(wants).map(|(message, wants)| {
            let reader = if wants {
                readers.next().flatten()
            } else {
                None
            };
            (message, wants, reader)
        });
        let work: Vec<_> = work.collect();
        let read = futures::stream::iter(work)
            .map(|(message, wants, reader)| self.read_body(message, wants, reader))
            .buffered(AT_ONCE);
        let mut read = std::pin::pin!(read);
        while let Some(result) = read.next().await {
            match result {
                Ok(message) => batch.messages.push(message),
                // Removed meanwhile: as if it had not been there.
                Err(BodyError::NotFound(_)) => {}
                Err(error) => {
                    let away = matches!(error, BodyError::Unavailable(_));
                    batch.failure.get_or_insert_with(|| error.into());
                    if away {
                        return false;
                    }
                }
            }
        }
        true
    }

    async fn read_body(
        &self,
        mut message: Message,
        wants: bool,
        reader: Option<Reader>,
    ) -> Result<Message, BodyError> {
        if !wants {
            return Ok(message);
        }
        let Some(reader) = reader else {
            return Err(BodyError::NotFound(message.view.body));
        };
        let size = message.body_size();
        if reader.size() != size {
            return Err(BodyError::Damaged {
                id: message.view.body,
                reason: format!(
                    "the message needs {size} bytes, the body has {}",
                    reader.size()
                ),
            });
        }
        if size <= SMALL {
            message.body = Body::Whole(reader.read(0..size).await?);
            return Ok(message);
        }
        let mut first: Vec<(usize, Bytes)> = Vec::new();
        let mut read = HashMap::new();
        let needed: Vec<_> = self.needed(&message).collect();
        for (index, range, length) in needed {
            let end = range.start.saturating_add(length);
            // A hundred items may want the same header.
            let piece = match read.entry((range.start, end)) {
                Entry::Occupied(known) => Bytes::clone(known.get()),
                Entry::Vacant(new) => new.insert(reader.read(range.start..end).await?).clone(),
            };
            first.push((index, piece));
        }
        message.body = Body::Stream(Box::new(reader), first);
        Ok(message)
    }
}
