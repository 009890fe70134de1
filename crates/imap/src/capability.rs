//! What the server offers, by the state of the session.

use crate::session::Session;

/// What every session offers.
const BASE: &[&str] = &["IMAP4rev1", "LITERAL+", "SASL-IR", "ID", "ENABLE"];

/// What is offered after login.
const AUTHENTICATED: &[&str] = &[
    "IDLE",
    "NAMESPACE",
    "UIDPLUS",
    "MOVE",
    "UNSELECT",
    "CHILDREN",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "STATUS=SIZE",
    "ESEARCH",
    "CONDSTORE",
    "QUOTA",
    "QUOTA=RES-STORAGE",
    "QUOTA=RES-MESSAGE",
];

/// The capabilities of `session` as it is now.
pub(crate) fn names(session: &Session) -> Vec<&'static str> {
    let mut names = BASE.to_vec();
    if session.login.is_none() {
        if session.may_start_tls() {
            names.push("STARTTLS");
        }
        if session.may_log_in() {
            names.extend(["AUTH=PLAIN", "AUTH=LOGIN"]);
        } else {
            // RFC 3501 §6.2.3
            names.push("LOGINDISABLED");
        }
    } else {
        names.extend(AUTHENTICATED);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_offered_twice() {
        let mut all: Vec<_> = BASE.iter().chain(AUTHENTICATED).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
