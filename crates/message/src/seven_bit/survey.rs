//! [`Survey`]: the first reading, which finds out where octets above 127 are and
//! decides what to do about each part.

use std::sync::LazyLock;

use super::NotConvertible;
use super::plan::{Action, Plan};
use crate::transfer::TransferEncoding;
use crate::{FieldSelector, MAX_PARTS, Part, header, mime};

/// How much of a part's own fields is looked at.
const MAX_FIELDS: usize = 1024;

static FIELDS: LazyLock<[String; 2]> =
    LazyLock::new(|| ["content-type", "mime-version"].map(String::from));

/// What an entity is to the conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It has a body of its own.
    Leaf,
    /// A multipart, or a message that is looked into.
    Container,
    /// A multipart/signed (RFC 1847 §2.1).
    Signed,
    /// A message/global, which may be encoded as a whole (RFC 6532 §3.7).
    Global,
}

/// An entity, in the order of the headers.
struct Entity {
    parent: Option<usize>,
    kind: Kind,
    is_text: bool,
    /// It is the message itself or one in a message/rfc822.
    is_message: bool,
    /// The label in lower case.
    label: Vec<u8>,
    /// Its header has octets above 127.
    dirty_header: bool,
    /// Its body or something in it has.
    dirty: bool,
    /// What its header says of [`FIELDS`].
    fields: Vec<u8>,
}

/// What a stretch of the message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    /// The body of a leaf.
    Body,
    /// Around the parts of a multipart.
    Between,
}

/// What was decided of an entity.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    /// The label alone becomes `7bit`.
    Relabelled,
    Encoded(TransferEncoding, TransferEncoding),
    /// It is part of what is encoded as a whole.
    Swallowed,
}

/// Reads a message for the first time.
pub struct Survey {
    entities: Vec<Entity>,
    /// End, entity and place of each stretch, ascending.
    stretches: Vec<(u64, usize, Place)>,
    /// The stretch that is being read.
    at: usize,
    offset: u64,
    selector: Option<FieldSelector<'static>>,
    /// A stretch behind all others has octets above 127.
    dirty_rest: bool,
}

impl Survey {
    /// A survey of the message with this structure.
    pub fn new(structure: &Part) -> Self {
        let mut new = Self {
            entities: Vec::new(),
            stretches: Vec::new(),
            at: 0,
            offset: 0,
            selector: None,
            dirty_rest: false,
        };
        new.add(structure, None, true);
        new
    }

    /// Reads the next bytes of the message. How it is cut into pieces makes no
    /// difference.
    pub fn push(&mut self, mut piece: &[u8]) {
        while let Some(&(end, entity, place)) = self.stretches.get(self.at) {
            let left = usize::try_from(end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
            let (now, rest) = piece.split_at(piece.len().min(left));
            self.read(now, entity, place);
            self.offset += now.len() as u64;
            piece = rest;
            if now.len() < left {
                return;
            }
            self.selector = None;
            self.at += 1;
        }
        self.dirty_rest |= !piece.is_ascii();
    }

    /// What to do, after the last byte: None where the message is plain ASCII and
    /// stays as it is.
    pub fn finish(mut self) -> Result<Option<Plan>, NotConvertible> {
        for index in (1..self.entities.len()).rev() {
            let entity = &self.entities[index];
            let dirty = entity.dirty || entity.dirty_header;
            if let Some(parent) = entity.parent.filter(|_| dirty) {
                self.entities[parent].dirty = true;
            }
        }
        let Some(root) = self.entities.first() else {
            return Ok(None);
        };
        if self.dirty_rest {
            return Err(NotConvertible::Structure);
        }
        if root.dirty_header {
            return Err(NotConvertible::Header);
        }
        if !root.dirty {
            return Ok(None);
        }
        // The last one of too many parts is the rest of the message, delimiters
        // and all.
        if self.entities.len() >= MAX_PARTS {
            return Err(NotConvertible::Structure);
        }
        self.fates().map(|fates| Some(self.plan(&fates)))
    }

    fn add(&mut self, part: &Part, parent: Option<usize>, is_message: bool) {
        let index = self.entities.len();
        let kind = if part.is("multipart", "signed") {
            Kind::Signed
        } else if part.is("message", "global") {
            Kind::Global
        } else if part.parts.is_empty() {
            Kind::Leaf
        } else {
            Kind::Container
        };
        let label = part.encoding.as_deref().unwrap_or_default();
        self.entities.push(Entity {
            parent,
            kind,
            is_text: part.is_text(),
            is_message,
            label: label.to_ascii_lowercase(),
            dirty_header: false,
            dirty: false,
            fields: Vec::new(),
        });
        self.stretch(part.body_start, index, Place::Header);
        for child in &part.parts {
            self.stretch(child.header_start, index, Place::Between);
            self.add(child, Some(index), part.message().is_some());
        }
        let place = match part.parts.is_empty() {
            true => Place::Body,
            false => Place::Between,
        };
        self.stretch(part.body_end, index, place);
    }

    fn stretch(&mut self, end: u64, entity: usize, place: Place) {
        let start = self.stretches.last().map_or(0, |s| s.0);
        if end > start {
            self.stretches.push((end, entity, place));
        }
    }

    fn read(&mut self, piece: &[u8], entity: usize, place: Place) {
        let entity = &mut self.entities[entity];
        let dirty = !piece.is_ascii();
        if place != Place::Header {
            entity.dirty |= dirty;
            return;
        }
        entity.dirty_header |= dirty;
        let names = &FIELDS[..];
        let selector = self
            .selector
            .get_or_insert_with(|| FieldSelector::new(names, false));
        selector.push(piece, &mut |selected: &[u8]| {
            let room = MAX_FIELDS - entity.fields.len();
            let take = selected.len().min(room);
            entity.fields.extend_from_slice(&selected[..take]);
        });
    }

    /// Decides about each entity, parents first.
    fn fates(&self) -> Result<Vec<Fate>, NotConvertible> {
        let mut fates: Vec<Fate> = Vec::with_capacity(self.entities.len());
        let mut in_signed = vec![false; self.entities.len()];
        for (index, entity) in self.entities.iter().enumerate() {
            let above = entity.parent.map(|p| fates[p]);
            if matches!(above, Some(Fate::Swallowed | Fate::Encoded(..))) {
                fates.push(Fate::Swallowed);
                continue;
            }
            in_signed[index] = entity.parent.is_some_and(|p| in_signed[p]);
            if in_signed[index] {
                // Nothing in it is dirty, or its parent had ended this.
                fates.push(Fate::Stays);
                continue;
            }
            if entity.dirty_header {
                return Err(NotConvertible::Header);
            }
            if entity.kind == Kind::Signed {
                if entity.dirty {
                    return Err(NotConvertible::Signed);
                }
                in_signed[index] = true;
            }
            fates.push(entity.fate()?);
        }
        Ok(fates)
    }

    fn plan(&self, fates: &[Fate]) -> Plan {
        let mut plan = Plan {
            stretches: Vec::new(),
        };
        // The encoding of a whole message/global goes on over all its stretches.
        let mut whole = Action::Copy;
        for &(end, index, place) in &self.stretches {
            let action = match (fates[index], place) {
                (Fate::Swallowed, _) => whole,
                (Fate::Encoded(from, to), Place::Header) => {
                    whole = Action::Encode { from, to };
                    self.label(index, name(to))
                }
                (Fate::Encoded(from, to), _) => Action::Encode { from, to },
                (Fate::Relabelled, Place::Header) => self.label(index, "7bit"),
                (_, Place::Between) if self.entities[index].dirty => Action::Blank,
                _ => Action::Copy,
            };
            match plan.stretches.last_mut() {
                Some((last, before @ Action::Encode { .. })) if *before == action => *last = end,
                _ => plan.add(end, action),
            }
        }
        plan
    }

    fn label(&self, index: usize, encoding: &'static str) -> Action {
        let entity = &self.entities[index];
        let has_version = header::find(&entity.fields, "mime-version").is_some();
        Action::Label {
            encoding,
            add_version: entity.is_message && !has_version,
        }
    }
}

impl Entity {
    /// What becomes of it, unless something above it decides.
    fn fate(&self) -> Result<Fate, NotConvertible> {
        let identity = matches!(self.label.as_slice(), b"" | b"7bit" | b"8bit" | b"binary");
        let from = TransferEncoding::parse(Some(&self.label));
        let known = identity || from != TransferEncoding::Identity;
        match self.kind {
            Kind::Global if self.dirty && known => {
                Ok(Fate::Encoded(from, TransferEncoding::Base64))
            }
            // What is said to be binary may have anything but ASCII lines.
            Kind::Leaf if self.label == b"binary" => self.leaf(from),
            Kind::Leaf if self.dirty && known => self.leaf(from),
            Kind::Leaf | Kind::Global if self.dirty => Err(NotConvertible::Structure),
            _ if matches!(self.label.as_slice(), b"8bit" | b"binary") => Ok(Fate::Relabelled),
            _ => Ok(Fate::Stays),
        }
    }

    fn leaf(&self, from: TransferEncoding) -> Result<Fate, NotConvertible> {
        let mut own = Part::default();
        mime::read_entity(&self.fields, ("text", "plain"), &mut own);
        // RFC 2046 §5.2: a message has no encoding, and neither has a multipart:
        // here are those that could not be looked into, and message/partial.
        let is_message = own.media_type.eq_ignore_ascii_case(b"message");
        let bodies = ["rfc822", "partial", "external-body"];
        if own.is_multipart() || bodies.iter().any(|b| is_message && own.is("message", b)) {
            return Err(NotConvertible::Structure);
        }
        let to = match from {
            TransferEncoding::Identity if self.label == b"binary" => TransferEncoding::Base64,
            TransferEncoding::Identity if self.is_text || is_message => {
                TransferEncoding::QuotedPrintable
            }
            TransferEncoding::Identity => TransferEncoding::Base64,
            // Broken: what is not ASCII among what is encoded already.
            encoded => encoded,
        };
        Ok(Fate::Encoded(from, to))
    }
}

fn name(encoding: TransferEncoding) -> &'static str {
    match encoding {
        TransferEncoding::Identity => "7bit",
        TransferEncoding::Base64 => "base64",
        TransferEncoding::QuotedPrintable => "quoted-printable",
    }
}
