//! FETCH and UID FETCH (RFC 3501 §6.4.5, RFC 7162 §3.1.4): while one batch of
//! messages is written, a task reads the next.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use postrider_meta::{Detail, UidRanges, command};
use postrider_proto::imap::response::Code;
use postrider_proto::imap::{DateTime, Fetch, FetchItem};
use postrider_types::{Flag, Flags, MailboxId};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{End, Fail, Reply};
use crate::fetch::content::{self, Content, clamp, content, cut, slice};
use crate::fetch::{
    Batch, Body, EnvelopeShape, LongFields, Message, PartShape, Plan, Settings, Source,
};
use crate::output::Output;
use crate::selected::{Selected, ranges};
use crate::session::Session;

/// Messages of one query with their rows and summaries.
const ROWS: usize = 500;
/// Messages of one query with their flags alone.
const FLAGS: usize = 2_000;

pub(super) async fn run(session: &mut Session, fetch: &Fetch) -> Result<Reply, Fail> {
    if fetch.changed_since.is_some() || fetch.items.contains(&FetchItem::ModSeq) {
        // RFC 7162 §3.1
        session.condstore = true;
    }
    let account = session.account()?;
    let Some(selected) = &session.selected else {
        return Ok(Reply::bad("select a mailbox first"));
    };
    let places = selected.resolve(&fetch.set, fetch.uid)?;
    let wanted: usize = places.iter().map(ExactSizeIterator::len).sum();
    let plan = Arc::new(Plan::new(fetch, session.condstore, session.is_read_only()));
    let size = match plan.detail {
        Detail::Flags => FLAGS,
        Detail::Row | Detail::Summary => ROWS,
    };
    let chunks = selected.chunks(&places, size);
    let mailbox = selected.mailbox;
    let settings = Settings {
        meta: session.meta().clone(),
        bodies: session.shared.handles.bodies.clone(),
        account,
        mailbox,
        token: session.token,
        plan: plan.clone(),
    };
    // For a few messages a task of its own would cost more than it brings.
    let ahead = wanted > 16;
    let mut batches = Batches::new(Source::new(settings, chunks), ahead);
    let mut scratch = Vec::new();
    let mut found = 0;
    let mut failure = None;
    while let Some(mut batch) = batches.next().await {
        if plan.sets_seen {
            mark_seen(session, &mut batch, mailbox).await?;
        }
        found += batch.messages.len();
        for message in &mut batch.messages {
            write(session, &plan, message, &mut scratch).await?;
        }
        if let Some(fail) = batch.failure {
            failure.get_or_insert(fail);
        }
    }
    if let Some(fail) = failure {
        return Err(fail);
    }
    // RFC 2180 §4.1, RFC 5530 §3: a UID without a message is passed over, a
    // number the client knows is not.
    if found < wanted && !fetch.uid && fetch.changed_since.is_none() {
        let text = "some of the messages no longer exist";
        return Ok(Reply::no(Code::ExpungeIssued, text));
    }
    Ok(Reply::ok("FETCH completed"))
}

/// Where batches come from.
enum Batches {
    Here(Box<Source>),
    Ahead(
        mpsc::Receiver<Batch>,
        #[allow(dead_code)] AbortOnDropHandle<()>,
    ),
}

impl Batches {
    fn new(mut source: Source, ahead: bool) -> Self {
        if !ahead {
            return Self::Here(Box::new(source));
        }
        let (sender, receiver) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            while let Some(batch) = source.next().await {
                if sender.send(batch).await.is_err() {
                    return;
                }
            }
        });
        Self::Ahead(receiver, AbortOnDropHandle::new(task))
    }

    async fn next(&mut self) -> Option<Batch> {
        match self {
            Self::Here(source) => source.next().await,
            Self::Ahead(receiver, _) => receiver.recv().await,
        }
    }
}

/// Sets `\Seen` where it is missing, one command for the batch.
async fn mark_seen(
    session: &mut Session,
    batch: &mut Batch,
    mailbox: MailboxId,
) -> Result<(), Fail> {
    let unseen = |m: &&Message| !m.view.flags.contains(&Flag::Seen);
    let uids = ranges(batch.messages.iter().filter(unseen).map(|m| m.view.uid.0));
    if uids.is_empty() {
        return Ok(());
    }
    let store = command::Store {
        account: session.account()?,
        mailbox,
        uids: UidRanges(uids),
        mode: command::StoreMode::Add,
        flags: Flags::from_iter([Flag::Seen]),
        unchanged_since: None,
    };
    let stored = session.act(store).await?;
    for (uid, mod_seq, flags) in stored.messages {
        if let Some(selected) = &mut session.selected {
            selected.did(uid, mod_seq);
        }
        if let Ok(at) = batch.messages.binary_search_by_key(&uid, |m| m.view.uid)
            && let Some(message) = batch.messages.get_mut(at)
        {
            message.view.mod_seq = mod_seq;
            message.view.flags = flags;
            message.seen_now = true;
        }
    }
    Ok(())
}

/// Writes one FETCH response.
async fn write(
    session: &mut Session,
    plan: &Plan,
    message: &mut Message,
    scratch: &mut Vec<u8>,
) -> Result<(), Fail> {
    let Some(selected) = &mut session.selected else {
        return Ok(());
    };
    let Some(number) = selected.number_of(message.view.uid) else {
        return Ok(());
    };
    let out = &mut session.out;
    let tells_flags = plan.items.contains(&FetchItem::Flags) || message.seen_now;
    if tells_flags && selected.note_keywords(&message.view.flags) {
        out.flags(&selected.flags());
    }
    // What can fail is decoded before the response begins.
    let envelope = match &message.summary {
        Some(summary) if plan.items.contains(&FetchItem::Envelope) => Some(summary.envelope()?),
        _ => None,
    };
    out.fetch_start(number);
    for (index, item) in plan.items.iter().enumerate() {
        match item {
            FetchItem::Envelope => {
                if let Some(envelope) = &envelope {
                    out.fetch_envelope(&EnvelopeShape(envelope));
                }
            }
            item if crate::fetch::tells_bytes(item) => {
                write_bytes(out, index, item, message, scratch).await?;
            }
            item => write_value(out, item, message, selected),
        }
    }
    // RFC 3501 §6.4.5: flags that changed by the way are told too.
    if message.seen_now && !plan.items.contains(&FetchItem::Flags) {
        out.fetch_flags(&message.view.flags, selected.is_recent(message.view.uid));
        if session.condstore && !plan.items.contains(&FetchItem::ModSeq) {
            out.fetch_mod_seq(message.view.mod_seq);
        }
    }
    out.fetch_end();
    out.relieve().await?;
    Ok(())
}

fn write_value(out: &mut Output, item: &FetchItem, message: &Message, selected: &Selected) {
    let view = &message.view;
    match item {
        FetchItem::Flags => out.fetch_flags(&view.flags, selected.is_recent(view.uid)),
        FetchItem::Uid => out.fetch_uid(view.uid),
        FetchItem::InternalDate => out.fetch_internal_date(DateTime {
            at: view.internal_date,
            zone: view.zone,
        }),
        FetchItem::Size => out.fetch_size(view.size),
        FetchItem::ModSeq => out.fetch_mod_seq(view.mod_seq),
        FetchItem::Body => {
            if let Some(structure) = &message.structure {
                out.fetch_body(&PartShape(structure));
            }
        }
        FetchItem::BodyStructure => {
            if let Some(structure) = &message.structure {
                out.fetch_body_structure(&PartShape(structure));
            }
        }
        _ => debug_assert!(false, "written elsewhere"),
    }
}

async fn write_bytes(
    out: &mut Output,
    index: usize,
    item: &FetchItem,
    message: &mut Message,
    scratch: &mut Vec<u8>,
) -> Result<(), Fail> {
    match content(item, message) {
        Content::Nothing => out.fetch_nil(item),
        Content::Fields(source, names, not) => {
            let wanted = Content::Fields(source, names, not);
            if let Some(header) = content::needed_body(&wanted, message)
                && header.end - header.start > content::MAX_HEADER
            {
                let first = header_block(index, &wanted, message).unwrap_or_default();
                let fields = LongFields {
                    item,
                    source,
                    names,
                    not,
                    header,
                    first,
                };
                return fields.tell(out, message).await;
            }
            let block = header_block(index, &wanted, message);
            scratch.clear();
            content::select_fields(source, names, not, message, block.as_ref(), scratch);
            let partial = match item {
                FetchItem::Section(body) => body.partial,
                _ => None,
            };
            let range = cut(0..scratch.len() as u64, partial);
            out.fetch_literal(item, range.end - range.start);
            out.pass(slice(scratch, &range)).await?;
            if scratch.capacity() > 64 * 1024 {
                *scratch = Vec::new();
            }
        }
        Content::Span(range) => {
            out.fetch_literal(item, range.end - range.start);
            write_span(out, index, range, message).await?;
        }
    }
    Ok(())
}

/// The header that was read from the body for an item, where it had to be.
fn header_block(index: usize, content: &Content<'_>, message: &Message) -> Option<Bytes> {
    let range = content::needed_body(content, message)?;
    match &message.body {
        Body::Unread => None,
        Body::Whole(bytes) => Some(bytes.slice(clamp(&range, bytes.len()))),
        Body::Stream(_, first) => first_piece(first, index),
    }
}

fn first_piece(first: &[(usize, Bytes)], index: usize) -> Option<Bytes> {
    let found = first.iter().find(|(item, _)| *item == index);
    found.map(|(_, piece)| piece.clone())
}

/// Writes the bytes of `range` of prefix and body; exactly as many, or the
/// session ends.
async fn write_span(
    out: &mut Output,
    index: usize,
    range: Range<u64>,
    message: &mut Message,
) -> Result<(), Fail> {
    let prefix = message.view.prefix.len() as u64;
    out.pass(slice(&message.view.prefix, &range)).await?;
    let range = range.start.saturating_sub(prefix)..range.end.saturating_sub(prefix);
    if range.is_empty() {
        return Ok(());
    }
    if let Some(summary) = &message.summary
        && range.end <= content::kept_header(summary)
    {
        out.pass(slice(&summary.header, &range)).await?;
        return Ok(());
    }
    let length = range.end - range.start;
    match &mut message.body {
        Body::Whole(bytes) if clamp(&range, bytes.len()).len() as u64 == length => {
            out.pass(slice(bytes, &range)).await?;
            Ok(())
        }
        Body::Stream(reader, first) => {
            let piece = first_piece(first, index).unwrap_or_default();
            stream(out, reader, range, piece).await
        }
        Body::Whole(_) | Body::Unread => {
            // The literal was announced: nothing may follow but the close.
            tracing::error!(uid = %message.view.uid, "a section lies outside of its message");
            Err(End::Silent.into())
        }
    }
}

/// Streams a large body: while one piece is sent the next is read.
async fn stream(
    out: &mut Output,
    reader: &postrider_body::Reader,
    range: Range<u64>,
    first: Bytes,
) -> Result<(), Fail> {
    let mut at = range.start;
    let mut piece = first;
    loop {
        at = at.saturating_add(piece.len() as u64);
        if piece.is_empty() || at >= range.end {
            break;
        }
        let next = at..range.end.min(at.saturating_add(crate::fetch::PIECE));
        let (sent, read) = tokio::join!(out.pass(&piece), reader.read(next));
        sent?;
        piece = match read {
            Ok(piece) => piece,
            Err(error) => {
                // Half a literal is out: only the close tells the client.
                tracing::warn!(%error, "a body failed while it was sent, the session is closed");
                return Err(End::Silent.into());
            }
        };
    }
    if at != range.end {
        tracing::error!(body = %reader.id(), "a body is shorter than its row says");
        return Err(End::Silent.into());
    }
    out.pass(&piece).await?;
    Ok(())
}
