//! Flag lists (RFC 3501 §2.3.2).

use postrider_types::{Flag, Flags};

use super::error::Problem;
use super::input::Input;

/// One flag. `\Recent` cannot be set by clients and is refused like any other
/// unknown system flag.
fn parse_flag(input: &mut Input<'_>, flags: &mut Flags) -> Result<(), Problem> {
    let word = if input.peek() == Some(b'\\') {
        input.backslash_word("a flag")?
    } else {
        input.atom("a flag")?
    };
    flags.insert(Flag::parse(word)?);
    if flags.len() > Flags::MAX {
        return Err(Problem::Value("too many flags, at most 64 are allowed"));
    }
    Ok(())
}

/// `(\Seen work)`, possibly empty.
pub(super) fn parse_list(input: &mut Input<'_>) -> Result<Flags, Problem> {
    let mut flags = Flags::new();
    if input.open_maybe_empty_list("a list of flags")? {
        loop {
            parse_flag(input, &mut flags)?;
            if !input.list_goes_on()? {
                break;
            }
        }
    }
    Ok(flags)
}

/// A list, or flags without parentheses up to the end of the command.
pub(super) fn parse_store_flags(input: &mut Input<'_>) -> Result<Flags, Problem> {
    if input.peek() == Some(b'(') {
        return parse_list(input);
    }
    let mut flags = Flags::new();
    parse_flag(input, &mut flags)?;
    while input.more() {
        parse_flag(input, &mut flags)?;
    }
    Ok(flags)
}

/// The keyword of SEARCH KEYWORD. A system flag is refused: it has keys of its own.
pub(super) fn parse_keyword(input: &mut Input<'_>) -> Result<Flag, Problem> {
    Ok(Flag::keyword(input.atom("a keyword")?)?)
}
