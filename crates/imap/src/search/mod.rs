//! SEARCH without its command: a key made ready for many messages
//! ([`Program`]) and its answer for one, from as little as is known of it.
//!
//! The answer has three values: a message is passed on to the next, more
//! expensive kind of knowledge only while the cheaper ones leave it open.

mod needle;
mod scan;

pub(crate) use needle::Needle;
pub(crate) use scan::{TextHits, scan};

use std::ops::Range;

use postrider_message::{Summary, header, text};
use postrider_meta::MessageView;
use postrider_proto::imap::response::Code;
use postrider_proto::imap::{Date, DateTest, SearchKey};
use postrider_types::{Flag, ModSeq};

use crate::error::Reply;
use crate::selected::Selected;

/// The most texts that one SEARCH looks for in bodies.
const MOST_TEXTS: usize = 100;

/// A search key, made ready.
pub(crate) struct Program {
    root: Node,
    /// What is looked for in bodies; `Node::Body` and `Node::Text` name them.
    pub(crate) texts: Vec<Needle>,
    /// The header fields that are asked for, in lower case, each once.
    pub(crate) fields: Vec<String>,
    /// The key asks for MODSEQ: so does the answer (RFC 7162 §3.1.5).
    pub(crate) mod_seq: bool,
}

enum Node {
    All,
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// Places in the list of messages.
    Places(Vec<Range<usize>>),
    Flag(Flag, bool),
    Recent,
    New,
    Old,
    ModSeq(ModSeq),
    InternalDate(DateTest, Date),
    Larger(u64),
    Smaller(u64),
    SentDate(DateTest, Date),
    Header(String, Option<Needle>),
    /// In the body.
    Body(usize),
    /// In the header or the body.
    Text(usize),
}

/// What is known of a message. A field is None while it was not read.
#[derive(Default)]
pub(crate) struct Known<'a> {
    /// Its place in the list, and with it its sequence number.
    pub(crate) place: usize,
    pub(crate) recent: bool,
    /// UID, MODSEQ and flags.
    pub(crate) flags: Option<&'a MessageView>,
    /// The whole row.
    pub(crate) row: Option<&'a MessageView>,
    pub(crate) summary: Option<&'a Summary>,
    /// The body's header, where the summary does not keep all of it. Of a very long
    /// one the start and the fields that are asked for.
    pub(crate) header: Option<&'a [u8]>,
    /// What was found in the body.
    pub(crate) hits: Option<&'a TextHits>,
}

impl Program {
    /// Makes `key` ready for the selected mailbox.
    pub(crate) fn new(key: &SearchKey, selected: &Selected) -> Result<Self, Reply> {
        let mut program = Self {
            root: Node::All,
            texts: Vec::new(),
            fields: Vec::new(),
            mod_seq: false,
        };
        program.root = program.node(key, selected)?;
        program.fields.sort_unstable();
        program.fields.dedup();
        if program.texts.len() > MOST_TEXTS {
            return Err(Reply::no(
                Code::Limit,
                "at most 100 texts are looked for in bodies at once",
            ));
        }
        Ok(program)
    }

    fn node(&mut self, key: &SearchKey, selected: &Selected) -> Result<Node, Reply> {
        Ok(match key {
            SearchKey::All => Node::All,
            SearchKey::And(keys) => {
                let nodes = keys.iter().map(|key| self.node(key, selected));
                Node::And(nodes.collect::<Result<_, _>>()?)
            }
            SearchKey::Or(keys) => {
                let nodes = keys.iter().map(|key| self.node(key, selected));
                Node::Or(nodes.collect::<Result<_, _>>()?)
            }
            SearchKey::Not(key) => Node::Not(Box::new(self.node(key, selected)?)),
            SearchKey::Sequence(set) => Node::Places(selected.resolve(set, false)?),
            SearchKey::Uid(set) => Node::Places(selected.resolve(set, true)?),
            SearchKey::Flag(flag, set) => Node::Flag(flag.clone(), *set),
            SearchKey::Recent => Node::Recent,
            SearchKey::New => Node::New,
            SearchKey::Old => Node::Old,
            SearchKey::InternalDate(test, date) => Node::InternalDate(*test, *date),
            SearchKey::SentDate(test, date) => Node::SentDate(*test, *date),
            SearchKey::Larger(size) => Node::Larger(*size),
            SearchKey::Smaller(size) => Node::Smaller(*size),
            SearchKey::From(value) => self.field("From", value),
            SearchKey::To(value) => self.field("To", value),
            SearchKey::Cc(value) => self.field("Cc", value),
            SearchKey::Bcc(value) => self.field("Bcc", value),
            SearchKey::Subject(value) => self.field("Subject", value),
            SearchKey::Header { name, value } => self.field(name, value),
            SearchKey::Body(value) => self.text(value).map_or(Node::All, Node::Body),
            SearchKey::Text(value) => self.text(value).map_or(Node::All, Node::Text),
            SearchKey::ModSeq(mod_seq) => {
                self.mod_seq = true;
                Node::ModSeq(*mod_seq)
            }
        })
    }

    fn field(&mut self, name: &str, value: &str) -> Node {
        self.fields.push(name.to_ascii_lowercase());
        let needle = (!value.is_empty()).then(|| Needle::new(value));
        Node::Header(name.to_owned(), needle)
    }

    /// The number of a text to look for; an empty one is in every message.
    fn text(&mut self, value: &str) -> Option<usize> {
        if value.is_empty() {
            return None;
        }
        self.texts.push(Needle::new(value));
        Some(self.texts.len() - 1)
    }

    /// Whether the message is found; None if that takes more knowledge.
    pub(crate) fn holds(&self, known: &Known<'_>) -> Option<bool> {
        self.root.holds(known, &self.texts)
    }

    /// Whether knowledge of this kind can decide anything.
    pub(crate) fn asks(&self, kind: Kind) -> bool {
        self.root.asks(kind)
    }
}

/// A kind of knowledge, the cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Flags,
    Row,
    Summary,
    Body,
}

impl Node {
    fn asks(&self, kind: Kind) -> bool {
        match self {
            Self::All | Self::Places(_) | Self::Recent | Self::Old => false,
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().any(|node| node.asks(kind)),
            Self::Not(node) => node.asks(kind),
            Self::Flag(..) | Self::New | Self::ModSeq(_) => kind == Kind::Flags,
            Self::InternalDate(..) | Self::Larger(_) | Self::Smaller(_) => kind == Kind::Row,
            Self::SentDate(..) => kind == Kind::Summary,
            // A header that the summary does not keep is read from the body.
            Self::Header(..) | Self::Text(_) => matches!(kind, Kind::Summary | Kind::Body),
            Self::Body(_) => kind == Kind::Body,
        }
    }

    fn holds(&self, known: &Known<'_>, texts: &[Needle]) -> Option<bool> {
        let flag = |flag: &Flag| known.flags.map(|view| view.flags.contains(flag));
        match self {
            Self::All => Some(true),
            Self::And(nodes) => unless_one(nodes, false, known, texts),
            Self::Or(nodes) => unless_one(nodes, true, known, texts),
            Self::Not(node) => node.holds(known, texts).map(|holds| !holds),
            Self::Places(places) => {
                let at = places.partition_point(|place| place.end <= known.place);
                Some(places.get(at).is_some_and(|p| p.contains(&known.place)))
            }
            Self::Flag(wanted, set) => flag(wanted).map(|found| found == *set),
            Self::Recent => Some(known.recent),
            Self::Old => Some(!known.recent),
            Self::New if !known.recent => Some(false),
            Self::New => flag(&Flag::Seen).map(|seen| !seen),
            Self::ModSeq(least) => known.flags.map(|view| view.mod_seq >= *least),
            Self::InternalDate(test, date) => {
                let row = known.row?;
                // RFC 3501 §6.4.4: the day as INTERNALDATE shows it.
                Some(test.holds(Date::of(row.internal_date, row.zone), *date))
            }
            Self::Larger(size) => known.row.map(|row| row.size > *size),
            Self::Smaller(size) => known.row.map(|row| row.size < *size),
            Self::SentDate(test, date) => {
                let sent = known.summary?.sent;
                let day = sent.and_then(|sent| i32::try_from(sent.day()).ok());
                Some(day.is_some_and(|day| test.holds(Date::from_days(day), *date)))
            }
            Self::Header(name, needle) => header_holds(known, name, needle.as_ref()),
            Self::Body(index) => Some(known.hits?.in_body(*index)),
            Self::Text(index) => text_holds(known, *index, texts.get(*index)?),
        }
    }
}

/// `decisive` if one of `nodes` is, the opposite if none is, None if that is open.
fn unless_one(nodes: &[Node], decisive: bool, known: &Known<'_>, texts: &[Needle]) -> Option<bool> {
    let mut open = false;
    for node in nodes {
        match node.holds(known, texts) {
            Some(holds) if holds == decisive => return Some(decisive),
            Some(_) => {}
            None => open = true,
        }
    }
    (!open).then_some(!decisive)
}

/// The header blocks that are known; None while one is missing.
fn blocks<'a>(known: &Known<'a>, names: &[&[u8]]) -> Option<[&'a [u8]; 2]> {
    let prefix = &known.row?.prefix[..];
    let summary = known.summary?;
    if let Some(header) = known.header {
        return Some([prefix, header]);
    }
    let covered = if names.is_empty() {
        summary.header_complete()
    } else {
        summary.header_covers(names.iter().copied())
    };
    covered.then(|| [prefix, &summary.header[..]])
}

fn header_holds(known: &Known<'_>, name: &str, needle: Option<&Needle>) -> Option<bool> {
    let blocks = blocks(known, &[name.as_bytes()])?;
    Some(blocks.into_iter().any(|block| {
        header::fields(block)
            .filter(|field| field.is(name))
            .any(|field| needle.is_none_or(|n| n.is_in(&text::decode_words(&field.unfolded()))))
    }))
}

fn text_holds(known: &Known<'_>, index: usize, needle: &Needle) -> Option<bool> {
    if known.hits.is_some_and(|hits| hits.in_body(index)) {
        return Some(true);
    }
    let in_header = blocks(known, &[]).map(|blocks| {
        let fields = blocks.into_iter().flat_map(header::fields);
        let mut lines = fields.map(|field| {
            let name = String::from_utf8_lossy(field.name);
            format!("{name}: {}", text::decode_words(&field.unfolded()))
        });
        lines.any(|line| needle.is_in(&line))
    });
    match (in_header, known.hits) {
        (Some(true), _) => Some(true),
        (Some(false), Some(_)) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
