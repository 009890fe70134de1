//! From a section to the bytes it names.
//!
//! A message is its row's prefix and then its body; places here count from the
//! prefix's first byte. Whatever lies in the prefix or in the header that the
//! summary keeps is answered without the body.

use std::ops::Range;

use bytes::Bytes;
use postrider_message::{Part, Summary, header};
use postrider_proto::imap::{FetchItem, Partial, Section, SectionText};

use super::source::Message;

/// The longest header that is held for a selection of fields that the summary
/// does not keep; a longer one is streamed.
pub(crate) const MAX_HEADER: u64 = postrider_message::MAX_HEADER as u64;

/// What an item names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    /// There is no such part.
    Nothing,
    /// These bytes of the message.
    Span(Range<u64>),
    /// The header fields with these names, or with others.
    Fields(FieldSource, &'a [String], bool),
}

/// The header whose fields are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldSource {
    /// The message's own.
    Message,
    /// That of a message in a part, `start..end` of the body.
    Part(u64, u64),
}

/// What `item` names in `message`.
pub(crate) fn content<'a>(item: &'a FetchItem, message: &Message) -> Content<'a> {
    let whole = || 0..message.view.size;
    match item {
        FetchItem::Rfc822 => Content::Span(whole()),
        FetchItem::Rfc822Header => Content::Span(0..message.header_end()),
        FetchItem::Rfc822Text => Content::Span(message.header_end()..message.view.size),
        FetchItem::Section(body) => {
            let content = if body.section.part.is_empty() {
                of_message(&body.section.text, message)
            } else {
                of_part(&body.section, message)
            };
            match content {
                Content::Span(range) => Content::Span(cut(range, body.partial)),
                other => other,
            }
        }
        _ => Content::Nothing,
    }
}

/// The bytes of `range` that `partial` asks for (RFC 3501 §6.4.5).
pub(crate) fn cut(range: Range<u64>, partial: Option<Partial>) -> Range<u64> {
    let Some(partial) = partial else { return range };
    let start = range
        .start
        .saturating_add(partial.offset.into())
        .min(range.end);
    let end = start
        .saturating_add(partial.length.get().into())
        .min(range.end);
    start..end
}

fn of_message<'a>(text: &'a SectionText, message: &Message) -> Content<'a> {
    match text {
        SectionText::Whole => Content::Span(0..message.view.size),
        SectionText::Header => Content::Span(0..message.header_end()),
        SectionText::Text => Content::Span(message.header_end()..message.view.size),
        SectionText::HeaderFields(names) => Content::Fields(FieldSource::Message, names, false),
        SectionText::HeaderFieldsNot(names) => Content::Fields(FieldSource::Message, names, true),
        SectionText::Mime => Content::Nothing,
    }
}

fn of_part<'a>(section: &'a Section, message: &Message) -> Content<'a> {
    let found = message
        .structure
        .as_ref()
        .and_then(|s| s.find(&section.part));
    let Some(part) = found else {
        return Content::Nothing;
    };
    let span = |range: Range<u64>| {
        let prefix = message.view.prefix.len() as u64;
        Content::Span(prefix.saturating_add(range.start)..prefix.saturating_add(range.end))
    };
    let inner = |then: &dyn Fn(&Part) -> Content<'a>| part.message().map_or(Content::Nothing, then);
    let fields = |names: &'a [String], not: bool| {
        inner(&|m| {
            Content::Fields(
                FieldSource::Part(m.header().start, m.header().end),
                names,
                not,
            )
        })
    };
    match &section.text {
        SectionText::Whole => span(part.body()),
        SectionText::Mime => span(part.header()),
        SectionText::Header => inner(&|m| span(m.header())),
        SectionText::Text => inner(&|m| span(m.body())),
        SectionText::HeaderFields(names) => fields(names, false),
        SectionText::HeaderFieldsNot(names) => fields(names, true),
    }
}

/// The bytes of the body that `content` needs and that neither the prefix nor
/// the summary holds.
pub(crate) fn needed_body(content: &Content<'_>, message: &Message) -> Option<Range<u64>> {
    let summary = message.summary.as_ref();
    match content {
        Content::Nothing => None,
        Content::Span(range) => {
            let prefix = message.view.prefix.len() as u64;
            let range = range.start.saturating_sub(prefix)..range.end.saturating_sub(prefix);
            let kept = summary.map_or(0, kept_header);
            (!range.is_empty() && range.end > kept).then_some(range)
        }
        Content::Fields(FieldSource::Message, names, not) => {
            let covers = summary.is_some_and(|s| {
                if *not {
                    s.header_complete()
                } else {
                    s.header_covers(names.iter().map(|name| name.as_bytes()))
                }
            });
            let length = summary.map_or(0, |s| s.header_length);
            (!covers).then_some(0..length)
        }
        Content::Fields(FieldSource::Part(start, end), ..) => (end > start).then_some(*start..*end),
    }
}

/// How many bytes from the body's start on the summary holds.
pub(crate) fn kept_header(summary: &Summary) -> u64 {
    if summary.header_complete() {
        summary.header.len() as u64
    } else {
        0
    }
}

/// Appends the selected fields and the empty line. `block` is the header if it
/// had to be read from the body.
pub(crate) fn select_fields(
    source: FieldSource,
    names: &[String],
    not: bool,
    message: &Message,
    block: Option<&Bytes>,
    out: &mut Vec<u8>,
) {
    select_prefix(source, names, not, message, out);
    let kept = message.summary.as_ref().map(|s| &s.header);
    let block = match source {
        FieldSource::Message => block.or(kept),
        FieldSource::Part(..) => block,
    };
    header::select(block.map_or(&[][..], |b| b), names, not, out);
}

/// Appends the selected fields of the message's prefix, without the empty line,
/// which comes once, at the end.
pub(crate) fn select_prefix(
    source: FieldSource,
    names: &[String],
    not: bool,
    message: &Message,
    out: &mut Vec<u8>,
) {
    if source == FieldSource::Message && !message.view.prefix.is_empty() {
        header::select(&message.view.prefix, names, not, out);
        out.truncate(out.len().saturating_sub(2));
    }
}

/// The bytes of `range`, cut at the end.
pub(crate) fn slice<'a>(bytes: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    bytes.get(clamp(range, bytes.len())).unwrap_or_default()
}

/// `range` within `length`.
pub(crate) fn clamp(range: &Range<u64>, length: usize) -> Range<usize> {
    let cut = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(length);
    cut(range.start)..cut(range.end).max(cut(range.start))
}
