//! The rules for mailbox names: UTF-8, `/` between levels, INBOX in any case
//! written in capitals.

use crate::api::Refusal;
use crate::limit;

/// The mailbox that every account has.
pub(crate) const INBOX: &str = "INBOX";

/// Checks `name` and returns it in its normal form.
pub(crate) fn check(name: &str) -> Result<String, Refusal> {
    let invalid = |text: &str| Err(Refusal::Invalid(text.to_owned()));
    let levels = name.split('/').count();
    if name.is_empty() {
        return invalid("a mailbox needs a name");
    }
    if name.chars().count() > limit::NAME_CHARS {
        return invalid(&format!(
            "a mailbox name has at most {} characters",
            limit::NAME_CHARS
        ));
    }
    if levels > limit::NAME_LEVELS {
        return invalid(&format!(
            "a mailbox name has at most {} levels",
            limit::NAME_LEVELS
        ));
    }
    if name.split('/').any(str::is_empty) {
        return invalid("a mailbox name has no empty level: no / at an end, no two in a row");
    }
    if name.chars().any(char::is_control) {
        return invalid("a mailbox name has no control characters");
    }
    // RFC 9051 §5.1.2: names with # at the beginning are for namespaces.
    if name.starts_with('#') {
        return invalid("a mailbox name does not begin with #");
    }
    Ok(normal(name))
}

/// `name` with INBOX as its first level in capitals (RFC 9051 §5.1).
pub(crate) fn normal(name: &str) -> String {
    match name.split_once('/') {
        None if name.eq_ignore_ascii_case(INBOX) => INBOX.to_owned(),
        Some((first, rest)) if first.eq_ignore_ascii_case(INBOX) => format!("{INBOX}/{rest}"),
        _ => name.to_owned(),
    }
}

/// The superiors of `name`, the topmost first.
pub(crate) fn superiors(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(at, _)| &name[..at])
}

/// "No such mailbox".
pub(crate) fn missing(name: &str) -> Refusal {
    Refusal::NotFound(format!("mailbox: {name}"))
}

/// "Exists already".
pub(crate) fn exists(name: &str) -> Refusal {
    Refusal::Exists(format!("the mailbox {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_inbox_is_capital() {
        for (given, normal) in [
            ("inbox", "INBOX"),
            ("iNbOx/x", "INBOX/x"),
            ("Inboxes", "Inboxes"),
            ("a/inbox", "a/inbox"),
            ("Entwürfe", "Entwürfe"),
        ] {
            assert_eq!(check(given).as_deref(), Ok(normal));
        }
        let long = "x".repeat(256);
        let deep = ["x"; 21].join("/");
        for bad in [
            "", "/a", "a/", "a//b", "a\0", "a\r\n", "#news/a", &long, &deep,
        ] {
            assert!(matches!(check(bad), Err(Refusal::Invalid(_))), "{bad:?}");
        }
        assert!(superiors("a/b/c").eq(["a", "a/b"]));
    }
}
