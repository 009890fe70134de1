//! FETCH without the protocol's loop: what a command needs of each message
//! ([`Plan`]), reading it ahead in bounded pieces ([`Source`]), and finding the
//! bytes of a section ([`content`]).

pub(crate) mod content;
mod fields;
mod shape;
mod source;

pub(crate) use fields::{LongFields, Pieces};
pub(crate) use shape::{EnvelopeShape, PartShape};
pub(crate) use source::{Batch, Body, Message, PIECE, Settings, Source};

use postrider_meta::Detail;
use postrider_proto::imap::{Fetch, FetchItem, SectionText};
use postrider_types::ModSeq;

/// What a FETCH asks of each message.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The items in the order in which they are told.
    pub(crate) items: Vec<FetchItem>,
    /// What the metadata query has to bring.
    pub(crate) detail: Detail,
    /// The MIME structure has to be decoded.
    pub(crate) structure: bool,
    /// Some item tells bytes of the message.
    pub(crate) bytes: bool,
    /// Messages are marked `\Seen`.
    pub(crate) sets_seen: bool,
    /// Only messages with a higher MODSEQ; 0 for all.
    pub(crate) changed_since: ModSeq,
}

impl Plan {
    /// The plan of `fetch`. `mod_seq`: the session tells MODSEQ with flags.
    pub(crate) fn new(fetch: &Fetch, mod_seq: bool, read_only: bool) -> Self {
        let mut items = fetch.items.clone();
        // RFC 3501 §6.4.8, RFC 7162 §3.1.4.1
        if fetch.uid && !items.contains(&FetchItem::Uid) {
            items.insert(0, FetchItem::Uid);
        }
        let wants_mod_seq =
            fetch.changed_since.is_some() || (mod_seq && items.contains(&FetchItem::Flags));
        if wants_mod_seq && !items.contains(&FetchItem::ModSeq) {
            items.push(FetchItem::ModSeq);
        }
        let detail = items.iter().map(detail).max_by_key(|d| rank(*d));
        Self {
            detail: detail.unwrap_or(Detail::Flags),
            structure: items.iter().any(needs_structure),
            bytes: items.iter().any(tells_bytes),
            sets_seen: !read_only && items.iter().any(FetchItem::sets_seen),
            changed_since: fetch.changed_since.unwrap_or_default(),
            items,
        }
    }
}

const fn rank(detail: Detail) -> u8 {
    match detail {
        Detail::Flags => 0,
        Detail::Row => 1,
        Detail::Summary => 2,
    }
}

fn detail(item: &FetchItem) -> Detail {
    match item {
        FetchItem::Flags | FetchItem::Uid | FetchItem::ModSeq => Detail::Flags,
        FetchItem::InternalDate | FetchItem::Size | FetchItem::Rfc822 => Detail::Row,
        FetchItem::Section(body)
            if body.section.part.is_empty() && body.section.text == SectionText::Whole =>
        {
            Detail::Row
        }
        _ => Detail::Summary,
    }
}

fn needs_structure(item: &FetchItem) -> bool {
    match item {
        FetchItem::Body | FetchItem::BodyStructure => true,
        FetchItem::Section(body) => !body.section.part.is_empty(),
        _ => false,
    }
}

/// Whether the item tells bytes of the message.
pub(crate) fn tells_bytes(item: &FetchItem) -> bool {
    matches!(
        item,
        FetchItem::Rfc822 | FetchItem::Rfc822Header | FetchItem::Rfc822Text | FetchItem::Section(_)
    )
}
