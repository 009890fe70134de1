//! [`LongFields`]: HEADER.FIELDS of a header that is too long to be held: it is read once to
//! learn how long the selection is, and once more to send what was too long to
//! be kept from the first reading.

use std::ops::Range;

use bytes::Bytes;
use postrider_body::{Error as BodyError, Reader};
use postrider_message::FieldSelector;
use postrider_proto::imap::FetchItem;

use super::PIECE;
use super::content::{self, FieldSource, MAX_HEADER};
use super::source::{Body, Message};
use crate::error::{End, Fail};
use crate::output::Output;

/// The fields of one item.
pub(crate) struct LongFields<'a> {
    pub(crate) item: &'a FetchItem,
    pub(crate) source: FieldSource,
    pub(crate) names: &'a [String],
    pub(crate) not: bool,
    /// Where in the body the header is.
    pub(crate) header: Range<u64>,
    /// Its first piece.
    pub(crate) first: Bytes,
}

impl LongFields<'_> {
    /// Tells the fields of `message`. A failure ends the session, since the
    /// response has begun.
    pub(crate) async fn tell(self, out: &mut Output, message: &Message) -> Result<(), Fail> {
        let Body::Stream(reader, _) = &message.body else {
            tracing::error!(uid = %message.view.uid, "a long header was not read");
            return Err(End::Silent.into());
        };
        let mut held = Vec::new();
        content::select_prefix(self.source, self.names, self.not, message, &mut held);
        let prefix = held.clone();
        let mut length = held.len() as u64;
        let mut hold = |bytes: &[u8]| {
            length = length.saturating_add(bytes.len() as u64);
            if length <= MAX_HEADER {
                held.extend_from_slice(bytes);
            }
        };
        let mut selector = FieldSelector::new(self.names, self.not);
        let mut pieces = Pieces::new(reader, self.header.clone(), self.first.clone());
        while let Some(piece) = pieces.next().await.map_err(failed)? {
            selector.push(&piece, &mut hold);
        }
        selector.finish(&mut hold);
        let partial = match self.item {
            FetchItem::Section(body) => body.partial,
            _ => None,
        };
        let wanted = content::cut(0..length, partial);
        out.fetch_literal(self.item, wanted.end - wanted.start);
        let mut window = Window { at: 0, wanted };
        if length <= MAX_HEADER {
            out.pass(window.of(&held)).await?;
            return Ok(());
        }
        drop(held);
        out.pass(window.of(&prefix)).await?;
        let mut selector = FieldSelector::new(self.names, self.not);
        let mut pieces = Pieces::new(reader, self.header.clone(), self.first.clone());
        let mut selected = Vec::new();
        while let Some(piece) = pieces.next().await.map_err(failed)? {
            selector.push(&piece, &mut |bytes| selected.extend_from_slice(bytes));
            out.pass(window.of(&selected)).await?;
            selected.clear();
        }
        selector.finish(&mut |bytes| selected.extend_from_slice(bytes));
        out.pass(window.of(&selected)).await?;
        Ok(())
    }
}

/// A range of a body, piece by piece.
pub(crate) struct Pieces<'r> {
    reader: &'r Reader,
    first: Option<Bytes>,
    rest: Range<u64>,
}

impl<'r> Pieces<'r> {
    /// The pieces of `range`, the first of which was read already unless it is empty.
    pub(crate) fn new(reader: &'r Reader, range: Range<u64>, first: Bytes) -> Self {
        Self {
            reader,
            first: Some(first).filter(|piece| !piece.is_empty()),
            rest: range,
        }
    }

    /// The next piece; None at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let end = self.rest.end.min(self.rest.start.saturating_add(PIECE));
        let piece = match self.first.take() {
            Some(first) => first,
            None => self.reader.read(self.rest.start..end).await?,
        };
        self.rest.start = self.rest.start.saturating_add(piece.len() as u64);
        // What is done with a piece takes its time.
        tokio::task::yield_now().await;
        Ok(Some(piece))
    }
}

/// Half a response is out: only the close tells the client.
fn failed(error: BodyError) -> Fail {
    tracing::warn!(%error, "a header failed while it was sent, the session is closed");
    End::Silent.into()
}

/// The wanted bytes of a sequence that passes by.
struct Window {
    at: u64,
    wanted: Range<u64>,
}

impl Window {
    /// What is wanted of the next bytes.
    fn of<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let start = self.wanted.start.saturating_sub(self.at);
        let end = self.wanted.end.saturating_sub(self.at);
        self.at = self.at.saturating_add(bytes.len() as u64);
        content::slice(bytes, &(start..end))
    }
}
