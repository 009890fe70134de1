//! What mailboxes promise, as models: the flags of one message, and a mailbox that
//! grows.

use super::Model;

/// Flags of a message, one bit each.
pub type Marks = u8;

/// An operation on the flags of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// STORE +FLAGS
    Add(Marks),
    /// STORE -FLAGS
    Remove(Marks),
    /// STORE FLAGS
    Replace(Marks),
    /// A look at them: tells them all.
    Look,
}

/// The flags of one message. What a change answers says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags;

impl Model for Flags {
    type Input = Change;
    type Output = Marks;
    type State = Marks;

    fn start(&self) -> Marks {
        0
    }

    fn step(&self, state: &Marks, input: &Change, output: Option<&Marks>) -> Option<Marks> {
        match *input {
            Change::Add(marks) => Some(state | marks),
            Change::Remove(marks) => Some(state & !marks),
            Change::Replace(marks) => Some(marks),
            Change::Look => output.is_none_or(|told| told == state).then_some(*state),
        }
    }
}

/// An operation on a mailbox that only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// APPEND, which got this UID. An answer that never came is read off the mailbox
    /// at the end.
    Append(u32),
    /// STATUS: tells how many messages there are.
    Count,
}

/// A mailbox that only grows, and its UIDs, ascending, at the end: messages come in
/// the order of their UIDs.
#[derive(Clone, Debug)]
pub struct Growth {
    /// All UIDs at the end.
    pub uids: Vec<u32>,
}

impl Model for Growth {
    type Input = Look;
    type Output = usize;
    /// How many messages are there.
    type State = usize;

    fn start(&self) -> usize {
        0
    }

    fn step(&self, state: &usize, input: &Look, output: Option<&usize>) -> Option<usize> {
        match input {
            Look::Append(uid) => (self.uids.get(*state) == Some(uid)).then_some(state + 1),
            Look::Count => output.is_none_or(|told| told == state).then_some(*state),
        }
    }
}
