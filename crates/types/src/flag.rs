//! Message flags: the system flags and keywords of RFC 9051 §2.3.2.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One flag of a message.
///
/// `\Recent` is no `Flag`: it belongs to a session, not to a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Flag {
    /// `\Seen`
    Seen,
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Draft`
    Draft,
    /// A keyword, an IMAP atom of 1 to [`Flag::MAX_KEYWORD`] bytes. Compared
    /// without case, kept as first written.
    Keyword(Keyword),
}

/// A keyword that passed [`Flag::keyword`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Keyword(Box<str>);

impl Keyword {
    /// The keyword as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}
impl Eq for Keyword {}
impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let lower = |k: &Self| k.0.to_ascii_lowercase();
        lower(self).cmp(&lower(other))
    }
}
impl std::hash::Hash for Keyword {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_ascii_lowercase().hash(state);
    }
}

/// Why a word is no flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// A backslash flag other than the five system flags.
    #[error("unknown system flag")]
    UnknownSystemFlag,
    /// Empty, too long, or with a character that an IMAP atom may not hold.
    #[error("a keyword is 1 to {max} characters without spaces, brackets, quotes, % * \\", max = Flag::MAX_KEYWORD)]
    BadKeyword,
}

impl Flag {
    /// The most bytes in a keyword.
    pub const MAX_KEYWORD: usize = 100;

    /// Reads a flag as IMAP writes it: `\Seen`, `$Forwarded`, `work`.
    pub fn parse(word: &str) -> Result<Self, FlagError> {
        if let Some(system) = word.strip_prefix('\\') {
            return match system.to_ascii_lowercase().as_str() {
                "seen" => Ok(Self::Seen),
                "answered" => Ok(Self::Answered),
                "flagged" => Ok(Self::Flagged),
                "deleted" => Ok(Self::Deleted),
                "draft" => Ok(Self::Draft),
                _ => Err(FlagError::UnknownSystemFlag),
            };
        }
        Self::keyword(word)
    }

    /// The keyword `word`.
    pub fn keyword(word: &str) -> Result<Self, FlagError> {
        // RFC 9051 §9: flag-keyword is an atom.
        let atom = |b: u8| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b);
        if word.is_empty() || word.len() > Self::MAX_KEYWORD || !word.bytes().all(atom) {
            return Err(FlagError::BadKeyword);
        }
        Ok(Self::Keyword(Keyword(word.into())))
    }

    /// The flag as IMAP writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Seen => "\\Seen",
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Draft => "\\Draft",
            Self::Keyword(word) => word.as_str(),
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The flags of one message: a set, at most [`Flags::MAX`] of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Flags(BTreeSet<Flag>);

impl Flags {
    /// The most flags on one message. A store of more is refused.
    pub const MAX: usize = 64;

    /// No flags.
    pub const fn new() -> Self {
        Self(BTreeSet::new())
    }

    /// Whether `flag` is set.
    pub fn contains(&self, flag: &Flag) -> bool {
        self.0.contains(flag)
    }

    /// Sets `flag`; true if it was not set before.
    pub fn insert(&mut self, flag: Flag) -> bool {
        self.0.insert(flag)
    }

    /// Clears `flag`; true if it was set before.
    pub fn remove(&mut self, flag: &Flag) -> bool {
        self.0.remove(flag)
    }

    /// The flags, system flags first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Flag> {
        self.0.iter()
    }

    /// How many are set.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl Extend<Flag> for Flags {
    fn extend<I: IntoIterator<Item = Flag>>(&mut self, iter: I) {
        self.0.extend(iter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_flags_and_keywords_are_read_and_written() {
        for word in [
            "\\Seen",
            "\\Answered",
            "\\Flagged",
            "\\Deleted",
            "\\Draft",
            "$Forwarded",
        ] {
            assert_eq!(
                Flag::parse(word).map(|f| f.to_string()),
                Ok(word.to_owned())
            );
        }
        assert_eq!(Flag::parse("\\sEEN"), Ok(Flag::Seen));
        assert_eq!(Flag::parse("\\Recent"), Err(FlagError::UnknownSystemFlag));
        for bad in ["", "a b", "a(", "ü", "a\"", &"x".repeat(101)] {
            assert_eq!(Flag::parse(bad), Err(FlagError::BadKeyword), "{bad}");
        }
    }

    #[test]
    fn keywords_differ_only_by_more_than_case() {
        let mut flags = Flags::new();
        assert!(flags.insert(Flag::keyword("Work").unwrap()));
        assert!(!flags.insert(Flag::keyword("WORK").unwrap()));
        assert_eq!(flags.iter().next().map(Flag::as_str), Some("Work"));
    }
}
