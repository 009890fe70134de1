//! The small commands about mailboxes: SELECT, EXAMINE, CREATE, RENAME, COPY,
//! MOVE, SETQUOTA. Names are UTF-8 here, decoded from modified UTF-7; INBOX in
//! any case is `INBOX`.

use super::error::Problem;
use super::input::Input;
use super::sequence::SequenceSet;

/// SELECT and EXAMINE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// The mailbox.
    pub mailbox: String,
    /// EXAMINE.
    pub read_only: bool,
    /// `(CONDSTORE)` (RFC 7162 §3.1.8).
    pub condstore: bool,
}

impl Select {
    pub(super) fn parse(input: &mut Input<'_>, read_only: bool) -> Result<Self, Problem> {
        let mailbox = input.space_mailbox()?;
        let mut condstore = false;
        if input.more() {
            // RFC 4466 §2.1: select-params.
            input.open_list("SELECT parameters")?;
            loop {
                match input.atom("a SELECT parameter")? {
                    w if w.eq_ignore_ascii_case("CONDSTORE") => condstore = true,
                    _ => return Err(Problem::Value("unknown SELECT parameter")),
                }
                if !input.list_goes_on()? {
                    break;
                }
            }
        }
        Ok(Self {
            mailbox,
            read_only,
            condstore,
        })
    }
}

/// A special use (RFC 6154 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpecialUse {
    /// `\All`
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
    /// Another one, with its backslash: answered NO `[USEATTR]`.
    Other(String),
}

impl SpecialUse {
    fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        let name = input.backslash_word("a special-use attribute")?;
        let known = [
            Self::All,
            Self::Archive,
            Self::Drafts,
            Self::Flagged,
            Self::Junk,
            Self::Sent,
            Self::Trash,
        ];
        for special in known {
            if special.as_str().eq_ignore_ascii_case(name) {
                return Ok(special);
            }
        }
        Ok(Self::Other(name.to_owned()))
    }

    /// As IMAP writes it, with the backslash.
    pub fn as_str(&self) -> &str {
        match self {
            Self::All => "\\All",
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Flagged => "\\Flagged",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
            Self::Other(name) => name,
        }
    }
}

/// CREATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The mailbox. A final hierarchy separator, which only announces that
    /// names below it will be made (RFC 3501 §6.3.3), is left in place.
    pub mailbox: String,
    /// `(USE (...))` (RFC 6154 §3).
    pub special_use: Vec<SpecialUse>,
}

impl Create {
    pub(super) fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        let mailbox = input.space_mailbox()?;
        let mut special_use = Vec::new();
        if input.more() {
            input.open_list("CREATE parameters")?;
            loop {
                if !input
                    .atom("a CREATE parameter")?
                    .eq_ignore_ascii_case("USE")
                {
                    return Err(Problem::Value("unknown CREATE parameter"));
                }
                input.space()?;
                if input.open_maybe_empty_list("special-use attributes")? {
                    loop {
                        special_use.push(SpecialUse::parse(input)?);
                        if !input.list_goes_on()? {
                            break;
                        }
                    }
                }
                if !input.list_goes_on()? {
                    break;
                }
            }
        }
        Ok(Self {
            mailbox,
            special_use,
        })
    }
}

/// RENAME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The old name.
    pub from: String,
    /// The new name.
    pub to: String,
}

impl Rename {
    pub(super) fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        Ok(Self {
            from: input.space_mailbox()?,
            to: input.space_mailbox()?,
        })
    }
}

/// COPY and MOVE, with and without UID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The set holds UIDs, not sequence numbers.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// The mailbox to copy or move to.
    pub mailbox: String,
}

impl Copy {
    pub(super) fn parse(input: &mut Input<'_>, uid: bool) -> Result<Self, Problem> {
        input.space()?;
        Ok(Self {
            uid,
            set: SequenceSet::parse(input)?,
            mailbox: input.space_mailbox()?,
        })
    }
}

/// SETQUOTA (RFC 9208 §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetQuota {
    /// The quota root.
    pub root: String,
    /// Resource names in capitals with their limits.
    pub limits: Vec<(String, u64)>,
}

impl SetQuota {
    pub(super) fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        input.space()?;
        let root = input.utf8_astring("a quota root")?;
        input.space()?;
        let mut limits = Vec::new();
        if input.open_maybe_empty_list("quota limits")? {
            loop {
                let resource = input.atom("a resource name")?.to_ascii_uppercase();
                input.space()?;
                limits.push((resource, input.number64("a limit")?));
                if !input.list_goes_on()? {
                    break;
                }
            }
        }
        Ok(Self { root, limits })
    }
}
