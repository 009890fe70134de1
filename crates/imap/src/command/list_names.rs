//! What LIST lists: names with what is known of each, from the mailboxes and
//! the subscriptions of an account.

use std::collections::BTreeMap;

use postrider_meta::{self as meta, MailboxView};
use postrider_proto::imap::SpecialUse;

/// One name.
#[derive(Debug, Default)]
pub(super) struct Listed<'a> {
    /// The mailbox; None for a name that only has inferiors or a subscription.
    pub(super) mailbox: Option<&'a MailboxView>,
    pub(super) subscribed: bool,
    /// Mailboxes exist below it.
    pub(super) has_children: bool,
    /// Names below it are subscribed.
    pub(super) subscribed_below: bool,
}

/// The names above `name`, the highest first: `a`, `a/b` of `a/b/c`.
pub(super) fn superiors(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/')
        .filter_map(|(at, _)| name.get(..at))
        .filter(|parent| !parent.is_empty())
}

/// All names: of mailboxes, of subscriptions, and of whatever is above them.
pub(super) fn collect<'a>(
    mailboxes: &'a [MailboxView],
    subscriptions: &'a [String],
) -> BTreeMap<&'a str, Listed<'a>> {
    let mut names: BTreeMap<&str, Listed<'_>> = BTreeMap::new();
    for mailbox in mailboxes {
        let listed = names.entry(&mailbox.name).or_default();
        listed.mailbox = Some(mailbox);
        listed.subscribed |= mailbox.subscribed;
        for parent in superiors(&mailbox.name) {
            let listed = names.entry(parent).or_default();
            listed.has_children = true;
            listed.subscribed_below |= mailbox.subscribed;
        }
    }
    for name in subscriptions {
        names.entry(name).or_default().subscribed = true;
        for parent in superiors(name) {
            names.entry(parent).or_default().subscribed_below = true;
        }
    }
    names
}

/// A special use as LIST tells it.
pub(super) const fn special_use(special_use: meta::SpecialUse) -> SpecialUse {
    match special_use {
        meta::SpecialUse::Archive => SpecialUse::Archive,
        meta::SpecialUse::Drafts => SpecialUse::Drafts,
        meta::SpecialUse::Flagged => SpecialUse::Flagged,
        meta::SpecialUse::Junk => SpecialUse::Junk,
        meta::SpecialUse::Sent => SpecialUse::Sent,
        meta::SpecialUse::Trash => SpecialUse::Trash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superiors_come_from_the_top() {
        assert_eq!(superiors("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(superiors("a").count(), 0);
        assert_eq!(superiors("/a").count(), 0);
    }
}
