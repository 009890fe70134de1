//! Reading ahead: clients retrieve one message after the other, so the next ones
//! are fetched together, with one query for the rows and one for the bodies.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use postrider_body::{Error, Reader};
use postrider_meta::{Detail, ReadAt, query};
use postrider_types::ModSeq;

use crate::maildrop::{Maildrop, ranges};
use crate::server::Handles;

/// The most messages fetched together.
const MAX_WINDOW: usize = 128;
/// The first fetch of a client that sends its commands ahead.
const PIPELINED_WINDOW: usize = 32;
/// The most octets fetched together, but for the message that was asked for.
const MAX_OCTETS: u64 = 512 * 1024;

/// A message that can be sent.
pub(crate) struct Fetched {
    /// Header fields that precede the body.
    pub(crate) prefix: Bytes,
    pub(crate) body: Reader,
}

/// Messages that were fetched and not yet asked for, by ascending index.
#[derive(Default)]
pub(crate) struct Ahead {
    messages: VecDeque<(usize, Fetched)>,
    /// The index behind the last one that was asked for.
    expected: usize,
    /// Messages in the last fetch.
    window: usize,
}

impl Ahead {
    /// The message at `index` of the maildrop. None if it is gone.
    /// `pipelined` says that more commands are waiting.
    pub(crate) async fn take(
        &mut self,
        handles: &Handles,
        maildrop: &Maildrop,
        index: usize,
        pipelined: bool,
    ) -> Result<Option<Fetched>, Error> {
        while self.messages.front().is_some_and(|(at, _)| *at < index) {
            self.messages.pop_front();
        }
        if self.messages.front().is_none_or(|(at, _)| *at != index) {
            // RETR n, RETR n, or DELE between them: still in sequence.
            let sequential = self.window > 0 && index.abs_diff(self.expected) <= 1;
            self.window = match (sequential, pipelined) {
                (true, _) => (self.window * 2).min(MAX_WINDOW),
                (false, true) => PIPELINED_WINDOW,
                (false, false) => 1,
            };
            self.messages.clear();
            self.fetch(handles, maildrop, index).await?;
        }
        self.expected = index + 1;
        Ok(match self.messages.front() {
            Some((at, _)) if *at == index => self.messages.pop_front().map(|(_, m)| m),
            _ => None,
        })
    }

    /// Forgets everything: the client goes on elsewhere.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    async fn fetch(
        &mut self,
        handles: &Handles,
        maildrop: &Maildrop,
        index: usize,
    ) -> Result<(), Error> {
        let mut octets = 0_u64;
        let wanted: Vec<_> = maildrop
            .listed(index)
            .take(self.window)
            .take_while(|(at, entry)| {
                octets = octets.saturating_add(entry.size);
                *at == index || octets <= MAX_OCTETS
            })
            .collect();
        let ask = query::Messages {
            account: maildrop.account,
            mailbox: maildrop.mailbox,
            uids: ranges(wanted.iter().map(|(_, entry)| entry.uid.0)),
            detail: Detail::Row,
            changed_since: ModSeq(0),
            limit: u32::try_from(MAX_WINDOW).unwrap_or(u32::MAX),
        };
        let bodies: Vec<_> = wanted.iter().map(|(_, entry)| entry.body).collect();
        let (page, readers) = tokio::join!(
            handles.meta.ask(ask, ReadAt::AtLeast(maildrop.token)),
            handles.bodies.open_many(&bodies),
        );
        let mut prefixes: HashMap<_, _> = page?
            .0
            .messages
            .into_iter()
            .map(|m| (m.uid, m.prefix))
            .collect();
        for ((at, entry), reader) in wanted.into_iter().zip(readers?) {
            // Removed meanwhile by another session: there is nothing to send.
            if let (Some(prefix), Some(body)) = (prefixes.remove(&entry.uid), reader) {
                self.messages.push_back((at, Fetched { prefix, body }));
            }
        }
        Ok(())
    }
}
