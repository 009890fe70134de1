//! LIST and LSUB (RFC 3501 §6.3.8, §6.3.9), with the options of RFC 5258,
//! RFC 5819 (STATUS) and RFC 6154 (SPECIAL-USE), and pattern matching.

use super::error::Problem;
use super::input::Input;
use super::status::StatusItem;

/// LIST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// The reference name.
    pub reference: String,
    /// The patterns, 1 to 100. In the basic form an empty single pattern asks
    /// for the hierarchy delimiter only.
    pub patterns: Vec<Pattern>,
    /// Which mailboxes.
    pub select: ListSelect,
    /// What to tell of each.
    pub returns: ListReturn,
    /// The command has selection options, several patterns or return options:
    /// an empty pattern is then no special request (RFC 5258 §3).
    pub extended: bool,
}

/// Selection options: all that are set must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListSelect {
    /// `SUBSCRIBED`: subscribed names, existing or not.
    pub subscribed: bool,
    /// `REMOTE`: remote mailboxes too.
    pub remote: bool,
    /// `RECURSIVEMATCH`: parents of matches too.
    pub recursive_match: bool,
    /// `SPECIAL-USE`: mailboxes with a special use only.
    pub special_use: bool,
}

/// Return options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// `SUBSCRIBED`
    pub subscribed: bool,
    /// `CHILDREN`
    pub children: bool,
    /// `SPECIAL-USE`
    pub special_use: bool,
    /// `STATUS (...)`: a STATUS response for each; empty for none.
    pub status: Vec<StatusItem>,
}

impl List {
    const MAX_PATTERNS: usize = 100;

    pub(super) fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        input.space()?;
        let mut extended = false;
        let mut select = ListSelect::default();
        if input.peek() == Some(b'(') {
            extended = true;
            select = ListSelect::parse(input)?;
            input.space()?;
        }
        let reference = input.mailbox()?;
        input.space()?;
        let mut patterns = Vec::new();
        if input.peek() == Some(b'(') {
            extended = true;
            input.open_list("mailbox patterns")?;
            loop {
                if patterns.len() == Self::MAX_PATTERNS {
                    return Err(Problem::Value("too many patterns, at most 100 are allowed"));
                }
                patterns.push(Pattern::parse(input)?);
                if !input.list_goes_on()? {
                    break;
                }
            }
        } else {
            patterns.push(Pattern::parse(input)?);
        }
        let mut returns = ListReturn::default();
        if input.more() {
            if !input.atom("RETURN")?.eq_ignore_ascii_case("RETURN") {
                return input.fail("RETURN before the end");
            }
            extended = true;
            input.space()?;
            returns = ListReturn::parse(input)?;
        }
        Ok(Self {
            reference,
            patterns,
            select,
            returns,
            extended,
        })
    }
}

impl ListSelect {
    fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        let mut select = Self::default();
        if input.open_maybe_empty_list("LIST selection options")? {
            loop {
                let option = input.atom("a selection option")?;
                match option.to_ascii_uppercase().as_str() {
                    "SUBSCRIBED" => select.subscribed = true,
                    "REMOTE" => select.remote = true,
                    "RECURSIVEMATCH" => select.recursive_match = true,
                    "SPECIAL-USE" => select.special_use = true,
                    _ => return Err(Problem::Value("unknown LIST selection option")),
                }
                if !input.list_goes_on()? {
                    break;
                }
            }
        }
        // RFC 5258 §3.1: RECURSIVEMATCH needs an option that selects.
        if select.recursive_match && !select.subscribed && !select.special_use {
            return Err(Problem::Value(
                "RECURSIVEMATCH needs another selection option, such as SUBSCRIBED",
            ));
        }
        Ok(select)
    }
}

impl ListReturn {
    fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        let mut returns = Self::default();
        if input.open_maybe_empty_list("LIST return options")? {
            loop {
                let option = input.atom("a return option")?;
                match option.to_ascii_uppercase().as_str() {
                    "SUBSCRIBED" => returns.subscribed = true,
                    "CHILDREN" => returns.children = true,
                    "SPECIAL-USE" => returns.special_use = true,
                    "STATUS" => {
                        input.space()?;
                        returns.status = StatusItem::parse_list(input)?;
                    }
                    _ => return Err(Problem::Value("unknown LIST return option")),
                }
                if !input.list_goes_on()? {
                    break;
                }
            }
        }
        Ok(returns)
    }
}

/// LSUB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lsub {
    /// The reference name.
    pub reference: String,
    /// The pattern.
    pub pattern: Pattern,
}

impl Lsub {
    pub(super) fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        let reference = input.space_mailbox()?;
        input.space()?;
        Ok(Self {
            reference,
            pattern: Pattern::parse(input)?,
        })
    }
}

/// A mailbox name with wildcards: `*` stands for anything, `%` for anything
/// without a hierarchy delimiter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The longest pattern in bytes, reference included: matching takes time in
    /// proportion to pattern and name together multiplied.
    pub const MAX: usize = 1024;

    fn parse(input: &mut Input<'_>) -> Result<Self, Problem> {
        Self::new(input.list_mailbox()?)
    }

    fn new(text: String) -> Result<Self, Problem> {
        if text.len() > Self::MAX {
            return Err(Problem::Value("a mailbox pattern is too long"));
        }
        Ok(Self(text))
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pattern after the reference name: they are simply joined.
    pub fn within(&self, reference: &str) -> Self {
        let mut joined = String::with_capacity(reference.len() + self.0.len());
        joined.push_str(reference);
        joined.push_str(&self.0);
        joined.truncate(joined.floor_char_boundary(Self::MAX));
        Self(joined)
    }

    /// Whether `name` matches, with `/` between levels. INBOX at the start
    /// matches in any case (RFC 3501 §5.1).
    pub fn matches(&self, name: &str) -> bool {
        let pattern = self.0.as_bytes();
        let inbox = |text: &[u8]| {
            text.get(..5)
                .is_some_and(|t| t.eq_ignore_ascii_case(b"INBOX"))
                && matches!(text.get(5), None | Some(b'/' | b'*' | b'%'))
        };
        let fold = if inbox(pattern) && inbox(name.as_bytes()) {
            5
        } else {
            0
        };
        match pattern {
            b"*" => true,
            b"%" => !name.contains('/'),
            _ => matches(pattern, name.as_bytes(), fold),
        }
    }
}

/// Runs all ways to read the pattern side by side: time is bounded by pattern
/// times name. The first `fold` bytes compare without case.
fn matches(pattern: &[u8], name: &[u8], fold: usize) -> bool {
    // reached[j]: the first j bytes of the pattern match the name so far.
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    let wildcard = |j: usize| pattern.get(j).is_some_and(|b| matches!(b, b'*' | b'%'));
    let pass_wildcards = |reached: &mut [bool]| {
        for j in 0..pattern.len() {
            if wildcard(j) && reached[j] {
                reached[j + 1] = true;
            }
        }
    };
    pass_wildcards(&mut reached);
    for (n, &byte) in name.iter().enumerate() {
        for j in (0..reached.len()).rev() {
            let stays = match pattern.get(j) {
                Some(b'*') => reached[j],
                Some(b'%') => reached[j] && byte != b'/',
                _ => false,
            };
            let arrives = j.checked_sub(1).is_some_and(|i| {
                let same =
                    pattern[i] == byte || (n < fold && pattern[i].eq_ignore_ascii_case(&byte));
                !wildcard(i) && same && reached[i]
            });
            reached[j] = stays || arrives;
        }
        pass_wildcards(&mut reached);
    }
    reached.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_by_level() {
        for (pattern, name, want) in [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("%/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a/*", "a/b/c", true),
            ("a/*", "a", false),
            ("*b%", "a/b/bc", true),
            ("*b%", "a/b/bc/d", false),
            ("%b*", "ab/c", true),
            ("inbox", "INBOX", true),
            ("inbox/%", "INBOX/x", true),
            ("inboxes", "INBOXES", false),
            ("Inb%", "INBOX", false),
            ("", "a", false),
            ("", "", true),
            ("%%%", "abc", true),
            ("*%*x", "a/b/cx", true),
            ("%a%/%b%", "xay/zbz", true),
            ("%a%/%b%", "xay/z/b", false),
        ] {
            assert_eq!(
                Pattern(pattern.into()).matches(name),
                want,
                "{pattern} {name}"
            );
        }
    }

    fn slow(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|i| slow(rest, &name[i..])),
            Some((b'%', rest)) => (0..=name.len())
                .take_while(|&i| i == 0 || name[i - 1] != b'/')
                .any(|i| slow(rest, &name[i..])),
            Some((b, rest)) => name.first() == Some(b) && slow(rest, &name[1..]),
        }
    }

    proptest::proptest! {
        #[test]
        fn matching_agrees_with_the_definition(
            pattern in "[ab/*%]{0,9}", name in "[ab/]{0,9}",
        ) {
            proptest::prop_assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes(), 0),
                slow(pattern.as_bytes(), name.as_bytes())
            );
        }
    }
}
