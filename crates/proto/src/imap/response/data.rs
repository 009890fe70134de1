//! Untagged data but FETCH: server and mailbox status (RFC 3501 §7.2, §7.3) and
//! the responses of the extensions.

use std::ops::RangeInclusive;

use postrider_types::{Flags, ModSeq};

use super::super::command::Tag;
use super::super::mailbox::SpecialUse;
use super::super::status::StatusItem;
use super::{Writer, text};

/// A mailbox attribute of LIST (RFC 3501 §7.2.2, RFC 5258, RFC 6154).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `\Noinferiors`
    NoInferiors,
    /// `\Noselect`
    NoSelect,
    /// `\Marked`
    Marked,
    /// `\Unmarked`
    Unmarked,
    /// `\HasChildren`
    HasChildren,
    /// `\HasNoChildren`
    HasNoChildren,
    /// `\NonExistent`
    NonExistent,
    /// `\Subscribed`
    Subscribed,
    /// `\Remote`
    Remote,
    /// A special use.
    SpecialUse(SpecialUse),
}

impl Attribute {
    fn as_str(&self) -> &str {
        match self {
            Self::NoInferiors => "\\Noinferiors",
            Self::NoSelect => "\\Noselect",
            Self::Marked => "\\Marked",
            Self::Unmarked => "\\Unmarked",
            Self::HasChildren => "\\HasChildren",
            Self::HasNoChildren => "\\HasNoChildren",
            Self::NonExistent => "\\NonExistent",
            Self::Subscribed => "\\Subscribed",
            Self::Remote => "\\Remote",
            Self::SpecialUse(special) => special.as_str(),
        }
    }
}

/// What ESEARCH tells; what is None was not asked for or has no answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExtendedSearch<'a> {
    /// The tag of the SEARCH.
    pub tag: Option<&'a Tag>,
    /// The numbers are UIDs.
    pub uid: bool,
    /// `MIN`; left out where nothing was found.
    pub min: Option<u32>,
    /// `MAX`; left out where nothing was found.
    pub max: Option<u32>,
    /// `COUNT`
    pub count: Option<u64>,
    /// `ALL`; left out where nothing was found. Ascending.
    pub all: Option<&'a [RangeInclusive<u32>]>,
    /// `MODSEQ` (RFC 7162 §3.1.5)
    pub mod_seq: Option<ModSeq>,
}

/// One resource of a quota root (RFC 9208 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// `STORAGE` (in units of 1,024 bytes), `MESSAGE`.
    pub name: &'a str,
    /// How much is used.
    pub usage: u64,
    /// How much may be used.
    pub limit: u64,
}

impl Writer {
    fn numbered(&mut self, number: u32, name: &[u8]) {
        self.out.extend_from_slice(b"* ");
        text::number(&mut self.out, u64::from(number));
        self.out.extend_from_slice(name);
    }

    fn end(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }

    /// `* n EXISTS`
    pub fn exists(&mut self, messages: u32) {
        self.numbered(messages, b" EXISTS\r\n");
    }

    /// `* n RECENT`
    pub fn recent(&mut self, messages: u32) {
        self.numbered(messages, b" RECENT\r\n");
    }

    /// `* n EXPUNGE`: the message with this sequence number is gone.
    pub fn expunge(&mut self, number: u32) {
        self.numbered(number, b" EXPUNGE\r\n");
    }

    /// `* FLAGS (...)`: the flags in use in the mailbox.
    pub fn flags(&mut self, flags: &Flags) {
        self.out.extend_from_slice(b"* FLAGS (");
        text::words(&mut self.out, flags.iter().map(|flag| flag.as_str()));
        self.out.extend_from_slice(b")\r\n");
    }

    /// `* CAPABILITY ...`
    pub fn capability(&mut self, names: &[&str]) {
        self.out.extend_from_slice(b"* CAPABILITY ");
        text::words(&mut self.out, names.iter().copied());
        self.end();
    }

    /// `* ENABLED ...` (RFC 5161 §3.2); the list may be empty.
    pub fn enabled(&mut self, names: &[&str]) {
        self.out.extend_from_slice(b"* ENABLED");
        for name in names {
            self.out.push(b' ');
            self.out.extend_from_slice(name.as_bytes());
        }
        self.end();
    }

    /// `* LIST (...) "/" name`. `child_info_subscribed` tells a name that is
    /// listed because names below it are subscribed (RFC 5258 §3.5).
    pub fn list(&mut self, attributes: &[Attribute], name: &str, child_info_subscribed: bool) {
        self.out.extend_from_slice(b"* LIST (");
        self.list_data(attributes, name);
        if child_info_subscribed {
            self.out
                .extend_from_slice(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
        }
        self.end();
    }

    /// `* LSUB (...) "/" name`
    pub fn lsub(&mut self, attributes: &[Attribute], name: &str) {
        self.out.extend_from_slice(b"* LSUB (");
        self.list_data(attributes, name);
        self.end();
    }

    /// `* LIST (\Noselect) "/" ""`: the hierarchy delimiter, for LIST with an
    /// empty pattern (RFC 3501 §6.3.8).
    pub fn list_delimiter(&mut self) {
        self.list(&[Attribute::NoSelect], "", false);
    }

    fn list_data(&mut self, attributes: &[Attribute], name: &str) {
        text::words(&mut self.out, attributes.iter().map(Attribute::as_str));
        self.out.extend_from_slice(b") \"/\" ");
        text::mailbox(&mut self.out, name);
    }

    /// `* STATUS name (...)`
    pub fn status(&mut self, mailbox: &str, items: impl IntoIterator<Item = (StatusItem, u64)>) {
        self.out.extend_from_slice(b"* STATUS ");
        text::mailbox(&mut self.out, mailbox);
        self.out.extend_from_slice(b" (");
        let mut separate = false;
        for (item, value) in items {
            if separate {
                self.out.push(b' ');
            }
            separate = true;
            self.out.extend_from_slice(item.as_str().as_bytes());
            self.out.push(b' ');
            text::number(&mut self.out, value);
        }
        self.out.extend_from_slice(b")\r\n");
    }

    /// `* SEARCH ...`; with the highest MODSEQ of what was found, if the client
    /// searched by MODSEQ (RFC 7162 §3.1.5).
    pub fn search(&mut self, numbers: impl IntoIterator<Item = u32>, mod_seq: Option<ModSeq>) {
        self.out.extend_from_slice(b"* SEARCH");
        for number in numbers {
            self.out.push(b' ');
            text::number(&mut self.out, u64::from(number));
        }
        if let Some(mod_seq) = mod_seq {
            self.out.extend_from_slice(b" (MODSEQ ");
            text::number(&mut self.out, mod_seq.0);
            self.out.push(b')');
        }
        self.end();
    }

    /// `* ESEARCH ...` (RFC 4731 §3.2)
    pub fn extended_search(&mut self, found: &ExtendedSearch<'_>) {
        let out = &mut self.out;
        out.extend_from_slice(b"* ESEARCH");
        if let Some(tag) = found.tag {
            out.extend_from_slice(b" (TAG ");
            text::string(out, tag.as_str().as_bytes());
            out.push(b')');
        }
        if found.uid {
            out.extend_from_slice(b" UID");
        }
        let mut item = |name: &[u8], value: Option<u64>| {
            if let Some(value) = value {
                out.extend_from_slice(name);
                text::number(out, value);
            }
        };
        item(b" MIN ", found.min.map(u64::from));
        item(b" MAX ", found.max.map(u64::from));
        item(b" COUNT ", found.count);
        item(b" MODSEQ ", found.mod_seq.map(|mod_seq| mod_seq.0));
        if let Some(all) = found.all
            && !all.is_empty()
        {
            out.extend_from_slice(b" ALL ");
            text::set(out, all);
        }
        self.end();
    }

    /// `* NAMESPACE (("" "/")) NIL NIL`: personal mailboxes only (RFC 2342 §5).
    pub fn namespace(&mut self) {
        self.out
            .extend_from_slice(b"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
    }

    /// `* ID (...)`, or NIL for no fields (RFC 2971 §3.2)
    pub fn id(&mut self, fields: &[(&str, &str)]) {
        self.out.extend_from_slice(b"* ID ");
        if fields.is_empty() {
            self.out.extend_from_slice(b"NIL");
        }
        for (index, (name, value)) in fields.iter().enumerate() {
            self.out.push(if index == 0 { b'(' } else { b' ' });
            text::string(&mut self.out, name.as_bytes());
            self.out.push(b' ');
            text::string(&mut self.out, value.as_bytes());
        }
        if !fields.is_empty() {
            self.out.push(b')');
        }
        self.end();
    }

    /// `* QUOTA root (...)` (RFC 9208 §4.2.1)
    pub fn quota(&mut self, root: &str, resources: &[Resource<'_>]) {
        self.out.extend_from_slice(b"* QUOTA ");
        text::string(&mut self.out, root.as_bytes());
        self.out.extend_from_slice(b" (");
        for (index, resource) in resources.iter().enumerate() {
            if index > 0 {
                self.out.push(b' ');
            }
            self.out.extend_from_slice(resource.name.as_bytes());
            self.out.push(b' ');
            text::number(&mut self.out, resource.usage);
            self.out.push(b' ');
            text::number(&mut self.out, resource.limit);
        }
        self.out.extend_from_slice(b")\r\n");
    }

    /// `* QUOTAROOT mailbox root...` (RFC 9208 §4.2.2)
    pub fn quota_root(&mut self, mailbox: &str, roots: &[&str]) {
        self.out.extend_from_slice(b"* QUOTAROOT ");
        text::mailbox(&mut self.out, mailbox);
        for root in roots {
            self.out.push(b' ');
            text::string(&mut self.out, root.as_bytes());
        }
        self.end();
    }
}
