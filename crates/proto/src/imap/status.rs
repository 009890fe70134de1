//! STATUS and its items (RFC 3501 §6.3.10, RFC 7162 §3.1.7, RFC 8438, RFC 9051 §6.3.11).

use super::error::Problem;
use super::input::Input;

/// STATUS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The mailbox.
    pub mailbox: String,
    /// What to tell, each once.
    pub items: Vec<StatusItem>,
}

impl Status {
    pub(super) fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        let mailbox = input.space_mailbox()?;
        input.space()?;
        Ok(Self {
            mailbox,
            items: StatusItem::parse_list(input)?,
        })
    }
}

/// One item of STATUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusItem {
    /// `MESSAGES`
    Messages,
    /// `RECENT`
    Recent,
    /// `UIDNEXT`
    UidNext,
    /// `UIDVALIDITY`
    UidValidity,
    /// `UNSEEN`: how many, not which is first.
    Unseen,
    /// `DELETED`
    Deleted,
    /// `SIZE`: bytes, RFC 8438.
    Size,
    /// `HIGHESTMODSEQ`: this makes the session CONDSTORE-aware.
    HighestModSeq,
}

impl StatusItem {
    const ALL: [Self; 8] = [
        Self::Messages,
        Self::Recent,
        Self::UidNext,
        Self::UidValidity,
        Self::Unseen,
        Self::Deleted,
        Self::Size,
        Self::HighestModSeq,
    ];

    /// As IMAP writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "MESSAGES",
            Self::Recent => "RECENT",
            Self::UidNext => "UIDNEXT",
            Self::UidValidity => "UIDVALIDITY",
            Self::Unseen => "UNSEEN",
            Self::Deleted => "DELETED",
            Self::Size => "SIZE",
            Self::HighestModSeq => "HIGHESTMODSEQ",
        }
    }

    pub(super) fn parse_list(input: &mut Input<'_>) -> Result<Vec<Self>, Problem> {
        let mut items = Vec::new();
        input.open_list("STATUS items")?;
        loop {
            let word = input.atom("a STATUS item")?;
            let item = Self::ALL
                .into_iter()
                .find(|item| item.as_str().eq_ignore_ascii_case(word))
                .ok_or(Problem::Value("unknown STATUS item"))?;
            if !items.contains(&item) {
                items.push(item);
            }
            if !input.list_goes_on()? {
                return Ok(items);
            }
        }
    }
}
