//! FETCH responses in pieces (RFC 3501 §7.4.2).
//!
//! [`Writer::fetch_start`], then any items, then [`Writer::fetch_end`]. After
//! [`Writer::fetch_literal`] exactly the announced bytes must go out, through
//! [`Writer::raw`] or past the writer after its bytes were sent.

use postrider_types::{Flags, ModSeq, Uid};

use super::super::date::DateTime;
use super::super::fetch::{BodySection, FetchItem, SectionText};
use super::envelope::{self, Envelope};
use super::structure::{self, Part};
use super::{Writer, text};

impl Writer {
    /// `* n FETCH (`
    pub fn fetch_start(&mut self, number: u32) {
        self.out.extend_from_slice(b"* ");
        text::number(&mut self.out, u64::from(number));
        self.out.extend_from_slice(b" FETCH (");
        self.separate = false;
    }

    /// `)` and the line end.
    pub fn fetch_end(&mut self) {
        self.out.extend_from_slice(b")\r\n");
    }

    fn item(&mut self, name: &[u8]) {
        if self.separate {
            self.out.push(b' ');
        }
        self.separate = true;
        self.out.extend_from_slice(name);
    }

    /// `FLAGS (...)`
    pub fn fetch_flags(&mut self, flags: &Flags, recent: bool) {
        self.item(b"FLAGS (");
        let recent = recent.then_some("\\Recent");
        let flags = flags.iter().map(|flag| flag.as_str());
        text::words(&mut self.out, flags.chain(recent));
        self.out.push(b')');
    }

    /// `UID n`
    pub fn fetch_uid(&mut self, uid: Uid) {
        self.item(b"UID ");
        text::number(&mut self.out, u64::from(uid.0));
    }

    /// `INTERNALDATE "..."`
    pub fn fetch_internal_date(&mut self, date: DateTime) {
        self.item(b"INTERNALDATE ");
        date.write(&mut self.out);
    }

    /// `RFC822.SIZE n`
    pub fn fetch_size(&mut self, size: u64) {
        self.item(b"RFC822.SIZE ");
        text::number(&mut self.out, size);
    }

    /// `MODSEQ (n)` (RFC 7162 §3.1.4)
    pub fn fetch_mod_seq(&mut self, mod_seq: ModSeq) {
        self.item(b"MODSEQ (");
        text::number(&mut self.out, mod_seq.0);
        self.out.push(b')');
    }

    /// `ENVELOPE (...)`
    pub fn fetch_envelope(&mut self, value: &impl Envelope) {
        self.item(b"ENVELOPE ");
        envelope::write(&mut self.out, value);
    }

    /// `BODY (...)`: the structure without extension data.
    pub fn fetch_body(&mut self, part: &impl Part) {
        self.item(b"BODY ");
        structure::write(&mut self.out, part, false);
    }

    /// `BODYSTRUCTURE (...)`
    pub fn fetch_body_structure(&mut self, part: &impl Part) {
        self.item(b"BODYSTRUCTURE ");
        structure::write(&mut self.out, part, true);
    }

    /// `BODY[...] {length}`, or `RFC822 {length}` and so on: exactly `length`
    /// bytes must follow. For items that carry bytes of the message only.
    pub fn fetch_literal(&mut self, item: &FetchItem, length: u64) {
        self.label(item);
        text::literal_header(&mut self.out, length);
    }

    /// `BODY[...] {n}` with its bytes; a literal even where it could be quoted.
    pub fn fetch_bytes(&mut self, item: &FetchItem, bytes: &[u8]) {
        self.fetch_literal(item, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// `BODY[...] NIL`: there is no such part.
    pub fn fetch_nil(&mut self, item: &FetchItem) {
        self.label(item);
        self.out.extend_from_slice(b"NIL");
    }

    fn label(&mut self, item: &FetchItem) {
        match item {
            FetchItem::Rfc822 => self.item(b"RFC822 "),
            FetchItem::Rfc822Header => self.item(b"RFC822.HEADER "),
            FetchItem::Rfc822Text => self.item(b"RFC822.TEXT "),
            FetchItem::Section(section) => {
                self.item(b"BODY[");
                write_section(&mut self.out, section);
                self.out.push(b' ');
            }
            _ => debug_assert!(false, "{item:?} carries no bytes of the message"),
        }
    }
}

/// The section after its opening bracket. Of a partial only the offset is told.
fn write_section(out: &mut Vec<u8>, body: &BodySection) {
    for (index, number) in body.section.part.iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        text::number(out, u64::from(*number));
    }
    let (word, names): (&[u8], &[String]) = match &body.section.text {
        SectionText::Whole => (b"", &[]),
        SectionText::Header => (b"HEADER", &[]),
        SectionText::HeaderFields(names) => (b"HEADER.FIELDS", names),
        SectionText::HeaderFieldsNot(names) => (b"HEADER.FIELDS.NOT", names),
        SectionText::Text => (b"TEXT", &[]),
        SectionText::Mime => (b"MIME", &[]),
    };
    if !word.is_empty() && !body.section.part.is_empty() {
        out.push(b'.');
    }
    out.extend_from_slice(word);
    if !names.is_empty() {
        out.extend_from_slice(b" (");
        text::words(out, names.iter().map(String::as_str));
        out.push(b')');
    }
    out.push(b']');
    if let Some(partial) = body.partial {
        out.push(b'<');
        text::number(out, u64::from(partial.offset));
        out.push(b'>');
    }
}
