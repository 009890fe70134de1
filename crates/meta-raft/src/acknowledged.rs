//! What each member has acknowledged to this node while it leads, and which of them lack
//! some of that now: an old copy of their folder was put back, or their disk has lost it.
//! All that talks to a member shares this, entries as well as heartbeats; the member
//! itself hears of it and remembers. Only knows and tells; what follows others do.

use std::collections::HashMap;
use std::sync::Arc;

use openraft::raft::{StreamAppendError, StreamAppendResult};
use parking_lot::Mutex;

use crate::notice::Notice;
use crate::raft::TypeConfig;

/// What the others have acknowledged to this node. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Acknowledged(Arc<Mutex<HashMap<u64, Member>>>);

#[derive(Default)]
struct Member {
    /// The term in which this node leads, or last did.
    term: u64,
    /// The last entry that the member has acknowledged in it.
    last: Option<u64>,
    /// It has not got that any more.
    lacks: bool,
    notice: Notice,
}

impl Acknowledged {
    /// Takes note of what the member `id` answers to the leader of `term`. False: it
    /// lacks what it has acknowledged.
    pub(crate) fn note(&self, id: u64, term: u64, answer: &StreamAppendResult<TypeConfig>) -> bool {
        let mut all = self.0.lock();
        let member = all.entry(id).or_default();
        if term > member.term {
            // What was acknowledged before may rightly have been cut off since.
            (member.term, member.last, member.lacks) = (term, None, false);
        }
        // An answer that is late says nothing.
        let current = term == member.term;
        match answer {
            Ok(matched) if current => {
                let matched = matched.as_ref().map(|id| id.index);
                member.lacks &= matched < member.last;
                member.last = member.last.max(matched);
            }
            Err(StreamAppendError::Conflict(at)) if current && Some(at.index) <= member.last => {
                member.lacks = true;
                if member.notice.is_due() {
                    tracing::error!(
                        node = id,
                        entry = at.index,
                        "the node lacks entries that it had confirmed: its data folder is an old \
                         copy, or its disk has lost them. Stop it and run `postrider cluster \
                         rejoin` there"
                    );
                }
                return false;
            }
            _ => {}
        }
        true
    }

    /// Whether the member `id` lacks what it has acknowledged to the leader of `term`.
    pub(crate) fn lacks(&self, id: u64, term: u64) -> bool {
        let all = self.0.lock();
        all.get(&id).is_some_and(|it| it.lacks && it.term == term)
    }
}

/// Whether this node lacks what it had acknowledged, as its leader says.
#[derive(Default)]
pub(crate) struct Lack(Mutex<Told>);

#[derive(Default)]
struct Told {
    term: u64,
    lacks: bool,
    notice: Notice,
}

impl Lack {
    /// Takes note of what the leader of `term` says.
    pub(crate) fn hear(&self, term: u64, lacks: bool) {
        let mut told = self.0.lock();
        // One that leads no more does not know.
        if term < told.term {
            return;
        }
        if lacks && told.notice.is_due() {
            tracing::error!(
                "this node lacks entries that it had confirmed: its data folder is an old copy, or \
                 its disk has lost them. Stop it and run `postrider cluster rejoin` here"
            );
        }
        (told.term, told.lacks) = (term, lacks);
    }

    /// Whether it does.
    pub(crate) fn is_known(&self) -> bool {
        self.0.lock().lacks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::log_id;

    fn has(index: u64) -> StreamAppendResult<TypeConfig> {
        Ok(Some(log_id(1, index)))
    }

    fn conflicts(index: u64) -> StreamAppendResult<TypeConfig> {
        Err(StreamAppendError::Conflict(log_id(1, index)))
    }

    #[test]
    fn who_lacks_what_it_acknowledged_is_known_until_it_has_it_again() {
        let all = Acknowledged::default();
        // A new member, and one that the leader feels its way to.
        assert!(all.note(2, 5, &conflicts(0)) && all.note(2, 5, &conflicts(40)));
        assert!(all.note(2, 5, &has(10)) && all.note(2, 5, &conflicts(11)));
        assert!(!all.lacks(2, 5));
        assert!(!all.note(2, 5, &conflicts(10)) && all.lacks(2, 5));
        // Another one is not meant, nor another term.
        assert!(!all.lacks(3, 5) && !all.lacks(2, 6));
        // Some of it is not all of it.
        assert!(all.note(2, 5, &has(9)) && all.lacks(2, 5));
        assert!(!all.note(2, 5, &conflicts(10)));
        assert!(all.note(2, 5, &has(10)) && !all.lacks(2, 5));
    }

    #[test]
    fn another_term_begins_anew_and_late_answers_say_nothing() {
        let all = Acknowledged::default();
        assert!(all.note(2, 5, &has(10)) && all.note(2, 7, &conflicts(10)));
        assert!(all.note(2, 5, &has(20)) && all.note(2, 7, &conflicts(15)));
        assert!(all.note(2, 7, &has(3)) && !all.note(2, 7, &conflicts(3)));
        assert!(all.note(2, 5, &conflicts(1)));
    }

    #[test]
    fn a_node_believes_the_newest_leader() {
        let lack = Lack::default();
        lack.hear(5, true);
        assert!(lack.is_known());
        lack.hear(6, false);
        lack.hear(5, true);
        assert!(!lack.is_known());
    }
}
