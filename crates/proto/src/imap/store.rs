//! STORE (RFC 3501 §6.4.6, RFC 7162 §3.1.3).

use postrider_types::{Flags, ModSeq};

use super::error::Problem;
use super::flag;
use super::input::Input;
use super::sequence::SequenceSet;

/// How STORE changes flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// STORE and UID STORE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The set holds UIDs, not sequence numbers.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// `UNCHANGEDSINCE`; 0 is allowed and fails for every message.
    pub unchanged_since: Option<ModSeq>,
    /// How.
    pub mode: StoreMode,
    /// No FETCH with the new flags is wanted.
    pub silent: bool,
    /// The flags.
    pub flags: Flags,
}

impl Store {
    pub(super) fn parse(input: &mut Input<'_>, uid: bool) -> Result<Self, Problem> {
        input.space()?;
        let set = SequenceSet::parse(input)?;
        input.space()?;
        let mut unchanged_since = None;
        if input.peek() == Some(b'(') {
            input.open_list("STORE modifiers")?;
            loop {
                if !input
                    .atom("a STORE modifier")?
                    .eq_ignore_ascii_case("UNCHANGEDSINCE")
                {
                    return Err(Problem::Value("unknown STORE modifier"));
                }
                input.space()?;
                unchanged_since = Some(ModSeq(input.mod_seq()?));
                if !input.list_goes_on()? {
                    break;
                }
            }
            input.space()?;
        }
        let mode = if input.eat(b'+') {
            StoreMode::Add
        } else if input.eat(b'-') {
            StoreMode::Remove
        } else {
            StoreMode::Replace
        };
        let item = input.atom("FLAGS or FLAGS.SILENT")?;
        let silent = item.eq_ignore_ascii_case("FLAGS.SILENT");
        if !silent && !item.eq_ignore_ascii_case("FLAGS") {
            return Err(Problem::Value("STORE changes FLAGS or FLAGS.SILENT only"));
        }
        input.space()?;
        Ok(Self {
            uid,
            set,
            unchanged_since,
            mode,
            silent,
            flags: flag::parse_store_flags(input)?,
        })
    }
}
