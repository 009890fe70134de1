//! SEARCH and UID SEARCH (RFC 3501 §6.4.4, RFC 4731, RFC 7162 §3.1.5): messages
//! go through the kinds of knowledge from the cheapest on, a bounded number at
//! a time.

use std::collections::BTreeMap;

use bytes::Bytes;
use postrider_body::{Error, Reader};
use postrider_message::{FieldSelector, Part, Summary};
use postrider_meta::{Detail, MessageView, UidRanges, query};
use postrider_proto::imap::response::ExtendedSearch;
use postrider_proto::imap::{Search, SearchReturn, Tag};
use postrider_types::{ModSeq, Uid};

use crate::error::{Fail, Reply};
use crate::fetch::Pieces;
use crate::fetch::content::MAX_HEADER;
use crate::search::{Kind, Known, Program, scan};
use crate::selected::ranges;
use crate::session::Session;
use crate::table::Look;

/// Messages that are looked at together.
const FLAGS: usize = 2_000;
const SUMMARIES: usize = 500;
/// Bodies that are opened together: inline ones hold their bytes.
const BODIES: usize = 16;

/// What was found.
#[derive(Default)]
struct Found {
    /// Places in the list of messages, ascending.
    places: Vec<usize>,
    /// The highest MODSEQ among them, as far as it was read.
    mod_seq: ModSeq,
}

pub(super) async fn run(session: &mut Session, search: &Search, tag: &Tag) -> Result<Reply, Fail> {
    let Some(selected) = &session.selected else {
        return Ok(Reply::bad("select a mailbox first"));
    };
    let program = Program::new(&search.key, selected)?;
    if program.mod_seq {
        // RFC 7162 §3.1
        session.condstore = true;
    }
    let mut found = Found::default();
    let count = selected.known().len();
    let mut start = 0;
    while start < count {
        let end = count.min(start + FLAGS);
        look(session, &program, start..end, &mut found).await?;
        start = end;
        tokio::task::yield_now().await;
    }
    tell(session, search, &program, tag, &found);
    Ok(Reply::ok("SEARCH completed"))
}

/// Looks at the messages at `places`.
async fn look(
    session: &mut Session,
    program: &Program,
    places: std::ops::Range<usize>,
    found: &mut Found,
) -> Result<(), Fail> {
    let Some(selected) = &session.selected else {
        return Ok(());
    };
    let mut hits = Vec::new();
    let mut open = Vec::new();
    for place in places {
        let Some(uid) = selected.known().get(place).copied() else {
            break;
        };
        let known = Known {
            place,
            recent: selected.is_recent(Uid(uid)),
            ..Known::default()
        };
        match program.holds(&known) {
            // With MODSEQ the answer tells the highest: it has to be read.
            Some(true) if !program.mod_seq => hits.push(place),
            Some(false) => {}
            _ => open.push((place, uid)),
        }
    }
    if program.asks(Kind::Flags) || program.asks(Kind::Row) || program.mod_seq {
        open = look_at_rows(session, program, open, &mut hits, found).await?;
    }
    for open in open.chunks(SUMMARIES) {
        look_at_summaries(session, program, open, &mut hits, found).await?;
    }
    hits.sort_unstable();
    found.places.append(&mut hits);
    Ok(())
}

/// Lets others run now and then: a key may have thousands of terms.
async fn rest(index: usize) {
    if index % 32 == 31 {
        tokio::task::yield_now().await;
    }
}

async fn messages(
    session: &mut Session,
    open: &[(usize, u32)],
    detail: Detail,
) -> Result<BTreeMap<u32, MessageView>, Fail> {
    let mut all = BTreeMap::new();
    let mut uids = ranges(open.iter().map(|(_, uid)| *uid));
    while !uids.is_empty() {
        let query = query::Messages {
            account: session.account()?,
            mailbox: session
                .selected
                .as_ref()
                .map(|s| s.mailbox)
                .unwrap_or_default(),
            uids: UidRanges(uids.clone()),
            detail,
            changed_since: ModSeq(0),
            limit: 10_000,
        };
        let page = session.ask(query, Look::Own).await?;
        all.extend(page.messages.into_iter().map(|view| (view.uid.0, view)));
        let Some(next) = page.next else { break };
        uids.retain_mut(|range| {
            *range = next.0.max(*range.start())..=*range.end();
            !range.is_empty()
        });
    }
    Ok(all)
}

/// Decides by flags and rows what they decide; returns what is left open.
async fn look_at_rows(
    session: &mut Session,
    program: &Program,
    open: Vec<(usize, u32)>,
    hits: &mut Vec<usize>,
    found: &mut Found,
) -> Result<Vec<(usize, u32)>, Fail> {
    let row = program.asks(Kind::Row);
    let detail = if row { Detail::Row } else { Detail::Flags };
    let views = messages(session, &open, detail).await?;
    let mut left = Vec::new();
    for (index, (place, uid)) in open.into_iter().enumerate() {
        rest(index).await;
        // Removed meanwhile: not found.
        let Some(view) = views.get(&uid) else {
            continue;
        };
        let known = Known {
            flags: Some(view),
            row: row.then_some(view),
            ..start(session, place, uid)
        };
        match program.holds(&known) {
            Some(true) => {
                hits.push(place);
                found.mod_seq = found.mod_seq.max(view.mod_seq);
            }
            Some(false) => {}
            None => left.push((place, uid)),
        }
    }
    Ok(left)
}

fn start<'a>(session: &Session, place: usize, uid: u32) -> Known<'a> {
    let recent = session
        .selected
        .as_ref()
        .is_some_and(|s| s.is_recent(Uid(uid)));
    Known {
        place,
        recent,
        ..Known::default()
    }
}

async fn look_at_summaries(
    session: &mut Session,
    program: &Program,
    open: &[(usize, u32)],
    hits: &mut Vec<usize>,
    found: &mut Found,
) -> Result<(), Fail> {
    if open.is_empty() {
        return Ok(());
    }
    let views = messages(session, open, Detail::Summary).await?;
    let mut left = Vec::new();
    for (index, (place, uid)) in open.iter().enumerate() {
        rest(index).await;
        let Some(view) = views.get(uid) else { continue };
        let summary = Summary::from_bytes(view.summary.clone())?;
        let known = Known {
            flags: Some(view),
            row: Some(view),
            summary: Some(&summary),
            ..start(session, *place, *uid)
        };
        match program.holds(&known) {
            Some(true) => {
                hits.push(*place);
                found.mod_seq = found.mod_seq.max(view.mod_seq);
            }
            Some(false) => {}
            None => left.push((*place, view, summary)),
        }
    }
    for left in left.chunks(BODIES) {
        look_at_bodies(session, program, left, hits, found).await?;
    }
    Ok(())
}

async fn look_at_bodies(
    session: &mut Session,
    program: &Program,
    open: &[(usize, &MessageView, Summary)],
    hits: &mut Vec<usize>,
    found: &mut Found,
) -> Result<(), Fail> {
    let ids: Vec<_> = open.iter().map(|(_, view, _)| view.body).collect();
    let readers = session.shared.handles.bodies.open_many(&ids).await?;
    for ((place, view, summary), reader) in open.iter().zip(readers) {
        let Some(reader) = reader else { continue };
        let header = if summary.header_complete() {
            None
        } else {
            Some(read_header(&reader, summary.header_length, &program.fields).await?)
        };
        let texts = if program.texts.is_empty() {
            None
        } else {
            let structure: Part = summary.structure()?;
            Some(scan(&reader, &structure, &program.texts).await?)
        };
        let known = Known {
            flags: Some(view),
            row: Some(view),
            summary: Some(summary),
            header: header.as_deref(),
            hits: texts.as_ref(),
            ..start(session, *place, view.uid.0)
        };
        if program.holds(&known) == Some(true) {
            hits.push(*place);
            found.mod_seq = found.mod_seq.max(view.mod_seq);
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Reads a header of `length` bytes; of one that is too long to be held its start,
/// and behind it the `fields` from wherever they are, as far as they may be held.
async fn read_header(reader: &Reader, length: u64, fields: &[String]) -> Result<Bytes, Error> {
    let start = reader.read(0..length.min(MAX_HEADER)).await?;
    if length <= MAX_HEADER || fields.is_empty() {
        return Ok(start);
    }
    let mut held = Vec::from(start);
    // The start may end within a line; an empty line would end the header.
    if held.last().is_some_and(|b| *b != b'\n') {
        held.extend_from_slice(b"\r\n");
    }
    let most = held.len().saturating_mul(2);
    let mut hold = |bytes: &[u8]| {
        let room = most.saturating_sub(held.len()).min(bytes.len());
        held.extend_from_slice(bytes.get(..room).unwrap_or_default());
    };
    let mut selector = FieldSelector::new(fields, false);
    let mut pieces = Pieces::new(reader, 0..length, Bytes::new());
    while let Some(piece) = pieces.next().await? {
        selector.push(&piece, &mut hold);
    }
    selector.finish(&mut hold);
    Ok(held.into())
}

fn tell(session: &mut Session, search: &Search, program: &Program, tag: &Tag, found: &Found) {
    let Some(selected) = &session.selected else {
        return;
    };
    let known = selected.known();
    let number = |place: &usize| {
        if search.uid {
            known.get(*place).copied()
        } else {
            u32::try_from(*place + 1).ok()
        }
    };
    let numbers = found.places.iter().filter_map(number);
    // RFC 7162 §3.1.5: only where something was found.
    let mod_seq = (program.mod_seq && !found.places.is_empty()).then_some(found.mod_seq);
    let Some(returns) = search.returns else {
        session.out.search(numbers, mod_seq);
        return;
    };
    let SearchReturn {
        min,
        max,
        all,
        count,
    } = returns;
    let set = if all { ranges(numbers) } else { Vec::new() };
    let (first, last) = (found.places.first(), found.places.last());
    session.out.extended_search(&ExtendedSearch {
        tag: Some(tag),
        uid: search.uid,
        min: if min { first.and_then(number) } else { None },
        max: if max { last.and_then(number) } else { None },
        count: count.then_some(found.places.len() as u64),
        all: all.then_some(&set[..]),
        mod_seq,
    });
}
