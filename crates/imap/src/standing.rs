//! A session while no majority of the metadata answers: the client sees the
//! mailboxes as they were last known, is told so once, and can change nothing
//! until it is told that this is over.

use postrider_proto::imap::response::{Code, Condition};

use crate::error::{Fail, Reply};
use crate::session::Session;

const BEGINS: &str = "the mail servers have lost touch with each other: you see your mail as it \
                      was last known here, newer mail may be missing, and nothing can be changed";
const ENDS: &str = "the mail servers are in touch again: everything is up to date and can be \
                    changed";
const REFUSED: &str = "nothing can be changed while the mail servers have lost touch with each \
                       other, try again later";

impl Session {
    /// Looks whether answers are old ones at the moment, and tells the client of a
    /// change.
    pub(crate) fn notice_standing(&mut self) {
        if self.login.is_some() {
            self.tell_standing(self.meta().is_stale());
        }
    }

    /// Tells the client, once, that what it sees from now on may be old, or no more.
    pub(crate) fn tell_standing(&mut self, stale: bool) {
        if self.stale == stale {
            return;
        }
        self.stale = stale;
        let (text, code) = match stale {
            true => (BEGINS, Code::ReadOnly),
            false => (ENDS, Code::ReadWrite),
        };
        // RFC 3501 §7.1: to be shown to the user.
        self.out.untagged(Condition::Ok, Some(&Code::Alert), text);
        let writable = self.selected.as_ref().is_some_and(|it| !it.read_only);
        if writable {
            // RFC 3501 §7.1: the access while selected has changed.
            let text = "the access to the selected mailbox has changed";
            self.out.untagged(Condition::Ok, Some(&code), text);
        }
    }

    /// Refuses to change anything while answers are old ones.
    pub(crate) fn check_writable(&self) -> Result<(), Fail> {
        match self.meta().is_stale() {
            // RFC 5530 §3
            true => Err(Reply::no(Code::Unavailable, REFUSED).into()),
            false => Ok(()),
        }
    }

    /// Whether the selected mailbox may be changed: it was not opened by EXAMINE,
    /// and answers are not old ones.
    pub(crate) fn is_read_only(&self) -> bool {
        self.stale || self.selected.as_ref().is_none_or(|it| it.read_only)
    }
}
