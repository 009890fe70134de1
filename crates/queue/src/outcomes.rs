//! [`Outcomes`]: counts attempts and what became of recipients, by destination.
//!
//! Destinations are named by whoever sends mail, and a figure that is made once stays
//! as long as the node runs: only the first have figures of their own.

use std::collections::HashSet;

use metrics::counter;
use parking_lot::Mutex;

/// The most destinations with figures of their own.
const MOST: usize = 100;
/// All others together. No destination is called so: it would be a domain of one label
/// that does not exist.
const OTHERS: &str = "other";

/// Counts by destination.
#[derive(Default)]
pub(crate) struct Outcomes(Mutex<HashSet<String>>);

impl Outcomes {
    /// An entry for `destination` was tried.
    pub(crate) fn tried(&self, destination: &str) {
        let destination = self.label(destination);
        counter!("postrider_queue_attempts_total", "destination" => destination).increment(1);
    }

    /// Something became of a recipient there.
    pub(crate) fn became(&self, destination: &str, outcome: &'static str) {
        let destination = self.label(destination);
        let labels = [
            ("outcome", outcome.to_owned()),
            ("destination", destination),
        ];
        counter!("postrider_queue_recipients_total", &labels).increment(1);
    }

    fn label(&self, destination: &str) -> String {
        let mut named = self.0.lock();
        if named.contains(destination) {
            return destination.to_owned();
        }
        if named.len() == MOST {
            return OTHERS.to_owned();
        }
        named.insert(destination.to_owned());
        destination.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_those_that_are_there_stay() {
        let outcomes = Outcomes::default();
        for number in 0..MOST {
            let name = format!("{number}.test");
            assert_eq!(outcomes.label(&name), name);
        }
        assert_eq!(outcomes.label("late.test"), OTHERS);
        assert_eq!(outcomes.label("7.test"), "7.test");
    }
}
