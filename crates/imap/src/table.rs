//! The table of commands: in which states each is allowed, and whether it may
//! tell the client that messages are gone.

/// The states in which a command is allowed (RFC 3501 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    Always,
    NotAuthenticated,
    /// Logged in, with or without a mailbox.
    Authenticated,
    Selected,
}

/// Whether EXPUNGE responses may precede the tagged reply. They renumber
/// messages, so RFC 3501 §7.4.1 forbids them where numbers are in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expunges {
    Yes,
    /// Only in the form with UID (RFC 3501 §7.4.1).
    WithUid,
}

/// What changes of the selected mailbox the command tells at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// None.
    Nothing,
    /// At least all that this session did itself.
    Own,
    /// All that anybody was told before.
    Latest,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) allowed: Allowed,
    pub(crate) expunges: Expunges,
    pub(crate) look: Look,
}

const fn rule(name: &'static str, allowed: Allowed, expunges: Expunges, look: Look) -> Rule {
    Rule {
        name,
        allowed,
        expunges,
        look,
    }
}

/// The row of a command by its name.
pub(crate) fn find(name: &str) -> Rule {
    let unknown = rule("", Allowed::Selected, Expunges::WithUid, Look::Nothing);
    TABLE
        .iter()
        .find(|rule| rule.name == name)
        .copied()
        .unwrap_or(unknown)
}

use Allowed::{Always, Authenticated, NotAuthenticated, Selected};
use Expunges::{WithUid, Yes};
use Look::{Latest, Nothing, Own};

const TABLE: &[Rule] = &[
    rule("CAPABILITY", Always, Yes, Nothing),
    rule("NOOP", Always, Yes, Latest),
    rule("LOGOUT", Always, Yes, Nothing),
    rule("ID", Always, Yes, Nothing),
    rule("STARTTLS", NotAuthenticated, Yes, Nothing),
    rule("AUTHENTICATE", NotAuthenticated, Yes, Nothing),
    rule("LOGIN", NotAuthenticated, Yes, Nothing),
    rule("ENABLE", Authenticated, Yes, Nothing),
    rule("SELECT", Authenticated, Yes, Nothing),
    rule("EXAMINE", Authenticated, Yes, Nothing),
    rule("CREATE", Authenticated, Yes, Own),
    rule("DELETE", Authenticated, Yes, Own),
    rule("RENAME", Authenticated, Yes, Own),
    rule("SUBSCRIBE", Authenticated, Yes, Own),
    rule("UNSUBSCRIBE", Authenticated, Yes, Own),
    rule("LIST", Authenticated, Yes, Own),
    rule("LSUB", Authenticated, Yes, Own),
    rule("NAMESPACE", Authenticated, Yes, Nothing),
    rule("STATUS", Authenticated, Yes, Own),
    rule("APPEND", Authenticated, Yes, Own),
    rule("IDLE", Authenticated, Yes, Latest),
    rule("GETQUOTA", Authenticated, Yes, Nothing),
    rule("GETQUOTAROOT", Authenticated, Yes, Nothing),
    rule("SETQUOTA", Authenticated, Yes, Nothing),
    rule("CHECK", Selected, Yes, Latest),
    rule("CLOSE", Selected, Yes, Nothing),
    rule("UNSELECT", Selected, Yes, Nothing),
    rule("EXPUNGE", Selected, Yes, Own),
    rule("SEARCH", Selected, WithUid, Own),
    rule("FETCH", Selected, WithUid, Own),
    rule("STORE", Selected, WithUid, Own),
    rule("COPY", Selected, Yes, Own),
    rule("MOVE", Selected, Yes, Own),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_commands_of_rfc_3501_hold_expunges_back() {
        let held: Vec<_> = TABLE.iter().filter(|r| r.expunges == WithUid).collect();
        let names: Vec<_> = held.iter().map(|r| r.name).collect();
        assert_eq!(names, ["SEARCH", "FETCH", "STORE"]);
    }
}
