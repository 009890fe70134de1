//! SEARCH (RFC 3501 §6.4.4), with RETURN (RFC 4731) and MODSEQ (RFC 7162 §3.1.5).

use postrider_types::{Flag, ModSeq};

use super::date::Date;
use super::error::Problem;
use super::flag;
use super::input::Input;
use super::sequence::SequenceSet;

/// SEARCH and UID SEARCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// The answer holds UIDs, not sequence numbers.
    pub uid: bool,
    /// `RETURN (...)`: answer by ESEARCH.
    pub returns: Option<SearchReturn>,
    /// Which messages. Strings are UTF-8.
    pub key: SearchKey,
}

/// What ESEARCH tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchReturn {
    /// `MIN`: the lowest.
    pub min: bool,
    /// `MAX`: the highest.
    pub max: bool,
    /// `ALL`: all; also for an empty list of options.
    pub all: bool,
    /// `COUNT`: how many.
    pub count: bool,
}

/// How a date compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateTest {
    /// Earlier.
    Before,
    /// The same day.
    On,
    /// The same day or later.
    Since,
}

impl DateTest {
    /// Whether `date` passes against `wanted`.
    pub fn holds(self, date: Date, wanted: Date) -> bool {
        match self {
            Self::Before => date < wanted,
            Self::On => date == wanted,
            Self::Since => date >= wanted,
        }
    }
}

/// A search key. Nested at most [`SearchKey::MAX_DEPTH`] deep; ORs of ORs are one
/// level, however they are nested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// `ALL`
    All,
    /// All of them hold; at least two.
    And(Vec<SearchKey>),
    /// `OR`: one of them holds; at least two.
    Or(Vec<SearchKey>),
    /// `NOT`
    Not(Box<SearchKey>),
    /// A bare set: sequence numbers.
    Sequence(SequenceSet),
    /// `UID`
    Uid(SequenceSet),
    /// `ANSWERED` ... `KEYWORD`, or with false `UNANSWERED` ... `UNKEYWORD`.
    Flag(Flag, bool),
    /// `RECENT`
    Recent,
    /// `NEW`: recent and not seen.
    New,
    /// `OLD`: not recent.
    Old,
    /// `BEFORE`, `ON`, `SINCE`: INTERNALDATE without time and zone.
    InternalDate(DateTest, Date),
    /// `SENTBEFORE`, `SENTON`, `SENTSINCE`: the Date field without time and zone.
    SentDate(DateTest, Date),
    /// `LARGER`: RFC822.SIZE above this.
    Larger(u64),
    /// `SMALLER`: RFC822.SIZE below this.
    Smaller(u64),
    /// `FROM`
    From(String),
    /// `TO`
    To(String),
    /// `CC`
    Cc(String),
    /// `BCC`
    Bcc(String),
    /// `SUBJECT`
    Subject(String),
    /// `HEADER`: a field with this name whose text holds the value; an empty
    /// value asks for the field only.
    Header {
        /// The field's name.
        name: String,
        /// What its text holds.
        value: String,
    },
    /// `BODY`
    Body(String),
    /// `TEXT`: header or body.
    Text(String),
    /// `MODSEQ`: at least this. The entry name of RFC 7162 §3.1.5 is passed over.
    ModSeq(ModSeq),
}

impl Search {
    pub(super) fn parse(input: &mut Input<'_>, uid: bool) -> Result<Self, Problem> {
        input.space()?;
        let mut returns = None;
        let mut word = leading_word(input)?;
        if word.is_some_and(|w| w.eq_ignore_ascii_case("RETURN")) {
            input.space()?;
            returns = Some(SearchReturn::parse(input)?);
            input.space()?;
            word = leading_word(input)?;
        }
        if word.is_some_and(|w| w.eq_ignore_ascii_case("CHARSET")) {
            input.space()?;
            let charset = input.astring("a charset")?;
            if !charset.eq_ignore_ascii_case(b"UTF-8") && !charset.eq_ignore_ascii_case(b"US-ASCII")
            {
                return Err(Problem::Charset);
            }
            input.space()?;
            word = leading_word(input)?;
        }
        let mut keys = vec![SearchKey::parse(input, word, 1)?];
        while input.more() {
            let word = leading_word(input)?;
            keys.push(SearchKey::parse(input, word, 1)?);
        }
        Ok(Self {
            uid,
            returns,
            key: SearchKey::and(keys),
        })
    }
}

impl SearchReturn {
    fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        let mut returns = Self::default();
        if input.open_maybe_empty_list("SEARCH return options")? {
            loop {
                match input.atom("a return option")?.to_ascii_uppercase().as_str() {
                    "MIN" => returns.min = true,
                    "MAX" => returns.max = true,
                    "ALL" => returns.all = true,
                    "COUNT" => returns.count = true,
                    _ => return Err(Problem::Value("unknown SEARCH return option")),
                }
                if !input.list_goes_on()? {
                    break;
                }
            }
        } else {
            // RFC 4731 §3.1: an empty list means ALL.
            returns.all = true;
        }
        Ok(returns)
    }
}

/// The name of a key, if the next key has one.
fn leading_word<'a>(input: &mut Input<'a>) -> Result<Option<&'a str>, Problem> {
    if input.peek().is_some_and(|b| b.is_ascii_alphabetic()) {
        return input.letters("a search key").map(Some);
    }
    Ok(None)
}

impl SearchKey {
    /// The deepest nesting of NOT, OR and parentheses. It bounds the recursion of
    /// the parser and of whoever walks a key.
    pub const MAX_DEPTH: usize = 50;

    fn and(mut keys: Vec<Self>) -> Self {
        if keys.len() == 1
            && let Some(key) = keys.pop()
        {
            return key;
        }
        Self::And(keys)
    }

    fn parse(input: &mut Input<'_>, word: Option<&str>, depth: usize) -> Result<Self, Problem> {
        if depth > Self::MAX_DEPTH {
            return Err(Problem::Depth);
        }
        let Some(word) = word else {
            if input.peek() == Some(b'(') {
                return Self::parse_group(input, depth);
            }
            return Ok(Self::Sequence(SequenceSet::parse(input)?));
        };
        let upper = word.to_ascii_uppercase();
        if let Some(key) = Self::simple(&upper) {
            return Ok(key);
        }
        input.space()?;
        match upper.as_str() {
            "NOT" => {
                let word = leading_word(input)?;
                let key = Self::parse(input, word, depth + 1)?;
                Ok(Self::Not(Box::new(key)))
            }
            "OR" => Self::parse_or(input, depth),
            other => Self::parse_argument(input, other),
        }
    }

    /// The keys behind an OR. RFC 3501 §6.4.4 has only the OR of two keys: to ask
    /// for one of a hundred a client nests ninety-nine, which are read as one.
    fn parse_or(input: &mut Input<'_>, depth: usize) -> Result<Self, Problem> {
        let mut keys = Vec::new();
        let mut missing = 2_usize;
        loop {
            let word = leading_word(input)?;
            if word.is_some_and(|w| w.eq_ignore_ascii_case("OR")) {
                missing += 1;
            } else {
                keys.push(Self::parse(input, word, depth + 1)?);
                missing -= 1;
            }
            if missing == 0 {
                return Ok(Self::Or(keys));
            }
            input.space()?;
        }
    }

    fn parse_group(input: &mut Input<'_>, depth: usize) -> Result<Self, Problem> {
        input.open_list("search keys")?;
        let mut keys = Vec::new();
        loop {
            let word = leading_word(input)?;
            keys.push(Self::parse(input, word, depth + 1)?);
            if !input.list_goes_on()? {
                return Ok(Self::and(keys));
            }
        }
    }

    /// The keys without an argument.
    fn simple(word: &str) -> Option<Self> {
        Some(match word {
            "ALL" => Self::All,
            "ANSWERED" => Self::Flag(Flag::Answered, true),
            "UNANSWERED" => Self::Flag(Flag::Answered, false),
            "DELETED" => Self::Flag(Flag::Deleted, true),
            "UNDELETED" => Self::Flag(Flag::Deleted, false),
            "DRAFT" => Self::Flag(Flag::Draft, true),
            "UNDRAFT" => Self::Flag(Flag::Draft, false),
            "FLAGGED" => Self::Flag(Flag::Flagged, true),
            "UNFLAGGED" => Self::Flag(Flag::Flagged, false),
            "SEEN" => Self::Flag(Flag::Seen, true),
            "UNSEEN" => Self::Flag(Flag::Seen, false),
            "NEW" => Self::New,
            "OLD" => Self::Old,
            "RECENT" => Self::Recent,
            _ => return None,
        })
    }

    /// The keys with an argument, which comes next.
    fn parse_argument(input: &mut Input<'_>, word: &str) -> Result<Self, Problem> {
        let text = |input: &mut Input<'_>| input.utf8_astring("a text to search for");
        let internal = |input: &mut Input<'_>, test| {
            Date::parse(input).map(|date| Self::InternalDate(test, date))
        };
        let sent =
            |input: &mut Input<'_>, test| Date::parse(input).map(|date| Self::SentDate(test, date));
        Ok(match word {
            "KEYWORD" => Self::Flag(flag::parse_keyword(input)?, true),
            "UNKEYWORD" => Self::Flag(flag::parse_keyword(input)?, false),
            "UID" => Self::Uid(SequenceSet::parse(input)?),
            "BEFORE" => internal(input, DateTest::Before)?,
            "ON" => internal(input, DateTest::On)?,
            "SINCE" => internal(input, DateTest::Since)?,
            "SENTBEFORE" => sent(input, DateTest::Before)?,
            "SENTON" => sent(input, DateTest::On)?,
            "SENTSINCE" => sent(input, DateTest::Since)?,
            "LARGER" => Self::Larger(input.number64("a size in bytes")?),
            "SMALLER" => Self::Smaller(input.number64("a size in bytes")?),
            "FROM" => Self::From(text(input)?),
            "TO" => Self::To(text(input)?),
            "CC" => Self::Cc(text(input)?),
            "BCC" => Self::Bcc(text(input)?),
            "SUBJECT" => Self::Subject(text(input)?),
            "BODY" => Self::Body(text(input)?),
            "TEXT" => Self::Text(text(input)?),
            "HEADER" => {
                let name = input.utf8_astring("a header field name")?;
                input.space()?;
                let value = text(input)?;
                Self::Header { name, value }
            }
            "MODSEQ" => {
                if input.peek() == Some(b'"') {
                    // RFC 7162 §3.1.5: "/flags/name" and its type.
                    input.string("an entry name")?;
                    input.space()?;
                    let kind = input.letters("all, priv or shared")?;
                    if !["all", "priv", "shared"]
                        .iter()
                        .any(|k| k.eq_ignore_ascii_case(kind))
                    {
                        return Err(Problem::Value("an entry type is all, priv or shared"));
                    }
                    input.space()?;
                }
                Self::ModSeq(ModSeq(input.mod_seq()?))
            }
            _ => return Err(Problem::Value("unknown search key")),
        })
    }
}
