//! FETCH (RFC 3501 §6.4.5, RFC 7162 §3.1.4).

use std::num::NonZeroU32;

use postrider_types::ModSeq;

use super::error::Problem;
use super::input::{Input, is_astring_char};
use super::sequence::SequenceSet;

/// FETCH and UID FETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The set holds UIDs, not sequence numbers: every response tells the UID.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// What of each, in the client's order, macros resolved; at most 100.
    pub items: Vec<FetchItem>,
    /// `CHANGEDSINCE`: only messages with a higher MODSEQ, which is then told.
    pub changed_since: Option<ModSeq>,
}

/// One item of FETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchItem {
    /// `FLAGS`
    Flags,
    /// `UID`
    Uid,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822.SIZE`
    Size,
    /// `MODSEQ`: this makes the session CONDSTORE-aware.
    ModSeq,
    /// `ENVELOPE`
    Envelope,
    /// `BODY` without a section: BODYSTRUCTURE without its extension data.
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `RFC822`: all of the message; sets `\Seen`.
    Rfc822,
    /// `RFC822.HEADER`: the header; does not set `\Seen`.
    Rfc822Header,
    /// `RFC822.TEXT`: what follows the header; sets `\Seen`.
    Rfc822Text,
    /// `BODY[...]` and `BODY.PEEK[...]`.
    Section(BodySection),
}

impl FetchItem {
    /// Whether fetching it sets `\Seen`.
    pub const fn sets_seen(&self) -> bool {
        match self {
            Self::Rfc822 | Self::Rfc822Text => true,
            Self::Section(section) => !section.peek,
            _ => false,
        }
    }
}

/// `BODY[section]<partial>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodySection {
    /// `BODY.PEEK`: does not set `\Seen`.
    pub peek: bool,
    /// Which part of the message.
    pub section: Section,
    /// Which bytes of it; None for all.
    pub partial: Option<Partial>,
}

/// A part and what of it (RFC 3501 §6.4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Part numbers from the outermost in, each from 1 on; empty for the
    /// message itself. At most [`Section::MAX_DEPTH`].
    pub part: Vec<u32>,
    /// What of the part.
    pub text: SectionText,
}

impl Section {
    /// The most part numbers in a section.
    pub const MAX_DEPTH: usize = 100;
}

/// What of a part a section names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionText {
    /// All: the message with its header, or a part's body.
    Whole,
    /// `HEADER`: of the message, or of the message in a message/rfc822 part.
    Header,
    /// `HEADER.FIELDS`: field names as the client wrote them.
    HeaderFields(Vec<String>),
    /// `HEADER.FIELDS.NOT`
    HeaderFieldsNot(Vec<String>),
    /// `TEXT`: what follows `HEADER`.
    Text,
    /// `MIME`: a part's own header. Only with part numbers.
    Mime,
}

/// A range of bytes; ends with the text where it is longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// The first byte, from 0 on.
    pub offset: u32,
    /// The most bytes, at least 1.
    pub length: NonZeroU32,
}

impl Fetch {
    const MAX_ITEMS: usize = 100;

    pub(super) fn parse(input: &mut Input<'_>, uid: bool) -> Result<Self, Problem> {
        input.space()?;
        let set = SequenceSet::parse(input)?;
        input.space()?;
        let mut items = Vec::new();
        if input.peek() == Some(b'(') {
            input.open_list("FETCH items")?;
            loop {
                let word = input.dotted_word("a FETCH item")?;
                items.push(parse_item(input, word)?);
                if items.len() > Self::MAX_ITEMS {
                    return Err(Problem::Value(
                        "too many FETCH items, at most 100 are allowed",
                    ));
                }
                if !input.list_goes_on()? {
                    break;
                }
            }
        } else {
            let word = input.dotted_word("a FETCH item")?;
            match parse_macro(word) {
                Some(resolved) => items = resolved,
                None => items.push(parse_item(input, word)?),
            }
        }
        let mut changed_since = None;
        if input.more() {
            input.open_list("FETCH modifiers")?;
            loop {
                if !input
                    .atom("a FETCH modifier")?
                    .eq_ignore_ascii_case("CHANGEDSINCE")
                {
                    return Err(Problem::Value("unknown FETCH modifier"));
                }
                input.space()?;
                changed_since = Some(ModSeq(input.mod_seq()?));
                if !input.list_goes_on()? {
                    break;
                }
            }
        }
        Ok(Self {
            uid,
            set,
            items,
            changed_since,
        })
    }
}

/// RFC 3501 §6.4.5: a macro stands alone, never in a list.
fn parse_macro(word: &str) -> Option<Vec<FetchItem>> {
    use FetchItem::{Body, Envelope, Flags, InternalDate, Size};
    if word.eq_ignore_ascii_case("ALL") {
        Some(vec![Flags, InternalDate, Size, Envelope])
    } else if word.eq_ignore_ascii_case("FAST") {
        Some(vec![Flags, InternalDate, Size])
    } else if word.eq_ignore_ascii_case("FULL") {
        Some(vec![Flags, InternalDate, Size, Envelope, Body])
    } else {
        None
    }
}

fn parse_item(input: &mut Input<'_>, word: &str) -> Result<FetchItem, Problem> {
    Ok(match word.to_ascii_uppercase().as_str() {
        "FLAGS" => FetchItem::Flags,
        "UID" => FetchItem::Uid,
        "INTERNALDATE" => FetchItem::InternalDate,
        "RFC822.SIZE" => FetchItem::Size,
        "MODSEQ" => FetchItem::ModSeq,
        "ENVELOPE" => FetchItem::Envelope,
        "BODYSTRUCTURE" => FetchItem::BodyStructure,
        "RFC822" => FetchItem::Rfc822,
        "RFC822.HEADER" => FetchItem::Rfc822Header,
        "RFC822.TEXT" => FetchItem::Rfc822Text,
        "BODY" if input.peek() != Some(b'[') => FetchItem::Body,
        "BODY" => FetchItem::Section(BodySection::parse(input, false)?),
        "BODY.PEEK" => FetchItem::Section(BodySection::parse(input, true)?),
        _ => return Err(Problem::Value("unknown FETCH item")),
    })
}

impl BodySection {
    fn parse(input: &mut Input<'_>, peek: bool) -> Result<Self, Problem> {
        input.expect(b'[', "a section in brackets")?;
        let section = Section::parse(input)?;
        input.expect(b']', "a closing bracket")?;
        let mut partial = None;
        if input.eat(b'<') {
            let offset = input.number("the first byte of a partial fetch")?;
            input.expect(b'.', "offset.length in a partial fetch")?;
            let length = input.number("the length of a partial fetch")?;
            input.expect(b'>', "a closing angle bracket")?;
            let length = NonZeroU32::new(length).ok_or(Problem::Value(
                "the length of a partial fetch is at least 1",
            ))?;
            partial = Some(Partial { offset, length });
        }
        Ok(Self {
            peek,
            section,
            partial,
        })
    }
}

impl Section {
    fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        let mut part = Vec::new();
        while input.peek().is_some_and(|b| b.is_ascii_digit()) {
            let number = input.number("a part number")?;
            if number == 0 {
                return Err(Problem::Value("part numbers start at 1"));
            }
            if part.len() == Self::MAX_DEPTH {
                return Err(Problem::Value("a section has at most 100 part numbers"));
            }
            part.push(number);
            if !input.eat(b'.') {
                let text = SectionText::Whole;
                return Ok(Self { part, text });
            }
        }
        if part.is_empty() && input.peek() == Some(b']') {
            let text = SectionText::Whole;
            return Ok(Self { part, text });
        }
        let word = input.dotted_word("HEADER, TEXT or MIME")?;
        let text = match word.to_ascii_uppercase().as_str() {
            "HEADER" => SectionText::Header,
            "HEADER.FIELDS" => SectionText::HeaderFields(parse_field_names(input)?),
            "HEADER.FIELDS.NOT" => SectionText::HeaderFieldsNot(parse_field_names(input)?),
            "TEXT" => SectionText::Text,
            // RFC 3501 §6.4.5: MIME needs a part number before it.
            "MIME" if !part.is_empty() => SectionText::Mime,
            _ => return Err(Problem::Value("unknown section")),
        };
        Ok(Self { part, text })
    }
}

/// Field names in parentheses. They are echoed in the response, so only names
/// that can be written as atoms pass; others name no field (RFC 5322 §2.2).
fn parse_field_names(input: &mut Input<'_>) -> Result<Vec<String>, Problem> {
    let mut names = Vec::new();
    input.space()?;
    input.open_list("header field names")?;
    loop {
        let name = input.utf8_astring("a header field name")?;
        if name.is_empty() || !name.bytes().all(is_astring_char) {
            return Err(Problem::Value("not a header field name"));
        }
        names.push(name);
        if !input.list_goes_on()? {
            return Ok(names);
        }
    }
}
