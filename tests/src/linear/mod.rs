//! Whether a history of concurrent operations is linearizable: whether each took
//! effect at one moment between its call and its return, as a model says (ADR 35).
//!
//! The search is Wing and Gong's with Lowe's memory: orders are tried depth first, and
//! a set of operations that led to the same state before is not tried again. What is
//! independent (messages, mailboxes) is checked apart by the caller, as is much faster.

mod history;
mod models;

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

pub use history::{History, Operation};
pub use models::{Change, Flags, Growth, Look, Marks};

/// What operations do, one at a time.
pub trait Model {
    /// What a client asks for.
    type Input: Debug;
    /// What it is told.
    type Output: Debug;
    /// What is there.
    type State: Clone + Eq + Hash + Debug;

    /// What is there at first.
    fn start(&self) -> Self::State;

    /// The state after `input`, if `output` is what it would tell in `state`; with no
    /// output known, anything may have been told.
    fn step(
        &self,
        state: &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Self::State>;
}

/// A set of operations, by their places.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Places(Vec<u64>);

impl Places {
    fn none(of: usize) -> Self {
        Self(vec![0; of.div_ceil(64)])
    }

    fn has(&self, place: usize) -> bool {
        self.0[place / 64] & (1 << (place % 64)) != 0
    }

    fn with(&self, place: usize) -> Self {
        let mut more = self.clone();
        more.0[place / 64] |= 1 << (place % 64);
        more
    }
}

/// A way that is being tried: what has taken effect, and the state then.
#[derive(Clone)]
struct Way<S> {
    done: Places,
    /// Before this place all has taken effect.
    first: usize,
    /// How many of those that returned have.
    returned: usize,
    state: S,
}

/// Fails with the longest way that was found if there is no order of `operations` that
/// explains them all.
pub fn check<M: Model>(
    model: &M,
    mut operations: Vec<Operation<M::Input, M::Output>>,
) -> Result<(), String> {
    operations.sort_by_key(|operation| operation.called);
    let all = operations.iter().filter(|o| o.returned.is_some()).count();
    let mut seen = HashSet::new();
    let mut longest = Way {
        done: Places::none(operations.len()),
        first: 0,
        returned: 0,
        state: model.start(),
    };
    let next = candidates(&operations, &longest);
    // Each way with what is still to be tried after it.
    let mut ways = vec![(longest.clone(), next)];
    while let Some((way, next)) = ways.last_mut() {
        if way.returned == all {
            return Ok(());
        }
        let Some(place) = next.pop() else {
            ways.pop();
            continue;
        };
        let operation = &operations[place];
        let output = operation.output.as_ref();
        let Some(state) = model.step(&way.state, &operation.input, output) else {
            continue;
        };
        let done = way.done.with(place);
        if seen.insert((done.clone(), state.clone())) {
            let further = further(&operations, way, done, place, state);
            if further.returned > longest.returned {
                longest = further.clone();
            }
            let next = candidates(&operations, &further);
            ways.push((further, next));
        }
    }
    Err(explain(&operations, &longest, all))
}

/// What may take effect next: all that was called before anything else returned. The
/// last one is to be tried first: it returned first.
fn candidates<I, O, S>(operations: &[Operation<I, O>], way: &Way<S>) -> Vec<usize> {
    let returned = |place: usize| operations[place].returned.unwrap_or(u64::MAX);
    let mut earliest = u64::MAX;
    let mut found = Vec::new();
    for (place, operation) in operations.iter().enumerate().skip(way.first) {
        if operation.called > earliest {
            break;
        }
        if !way.done.has(place) {
            earliest = earliest.min(returned(place));
            found.push(place);
        }
    }
    found.sort_by_key(|place| std::cmp::Reverse(returned(*place)));
    found
}

fn further<I, O, S>(
    operations: &[Operation<I, O>],
    way: &Way<S>,
    done: Places,
    place: usize,
    state: S,
) -> Way<S> {
    let mut first = way.first;
    while first < operations.len() && done.has(first) {
        first += 1;
    }
    let returned = way.returned + usize::from(operations[place].returned.is_some());
    Way {
        done,
        first,
        returned,
        state,
    }
}

fn explain<I: Debug, O: Debug, S: Debug>(
    operations: &[Operation<I, O>],
    way: &Way<S>,
    all: usize,
) -> String {
    let next = candidates(operations, way);
    let next: Vec<String> = next
        .into_iter()
        .map(|place| format!("  {:?}", operations[place]))
        .collect();
    format!(
        "no order explains this history: at most {} of {all} operations, up to {:?}; then none \
         of these fits:\n{}",
        way.returned,
        way.state,
        next.join("\n")
    )
}

#[cfg(test)]
mod tests;
