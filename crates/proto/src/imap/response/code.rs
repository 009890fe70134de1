//! Conditions and response codes of status responses (RFC 3501 §7.1, RFC 5530).

use std::ops::RangeInclusive;

use postrider_types::{Flags, ModSeq, Uid, UidValidity};

use super::text;

/// The condition of a status response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `OK`
    Ok,
    /// `NO`
    No,
    /// `BAD`
    Bad,
    /// `BYE`, untagged
    Bye,
    /// `PREAUTH`, untagged
    PreAuth,
}

impl Condition {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
            Self::Bye => "BYE",
            Self::PreAuth => "PREAUTH",
        }
    }
}

/// A response code. Sets are not empty, ascending for APPENDUID and MODIFIED.
#[derive(Clone, Copy, Debug)]
pub enum Code<'a> {
    /// `ALERT`: the client must show the text.
    Alert,
    /// `BADCHARSET`: the charsets that are supported.
    BadCharset(&'a [&'a str]),
    /// `CAPABILITY`
    Capability(&'a [&'a str]),
    /// `PARSE`: a message's header cannot be parsed.
    Parse,
    /// `PERMANENTFLAGS`
    PermanentFlags {
        /// The flags that can be changed for good.
        flags: &'a Flags,
        /// `\*`: new keywords can be made.
        new_keywords: bool,
    },
    /// `READ-ONLY`
    ReadOnly,
    /// `READ-WRITE`
    ReadWrite,
    /// `TRYCREATE`
    TryCreate,
    /// `UIDNEXT`
    UidNext(Uid),
    /// `UIDVALIDITY`
    UidValidity(UidValidity),
    /// `UNSEEN`: the sequence number of the first message without `\Seen`.
    Unseen(u32),
    /// `UIDNOTSTICKY` (RFC 4315)
    UidNotSticky,
    /// `APPENDUID` (RFC 4315)
    AppendUid {
        /// The mailbox's UIDVALIDITY.
        validity: UidValidity,
        /// The new UIDs.
        uids: &'a [RangeInclusive<u32>],
    },
    /// `COPYUID` (RFC 4315): the n-th UID of `from` became the n-th of `to`.
    CopyUid {
        /// The target mailbox's UIDVALIDITY.
        validity: UidValidity,
        /// The old UIDs.
        from: &'a [RangeInclusive<u32>],
        /// The new UIDs.
        to: &'a [RangeInclusive<u32>],
    },
    /// `HIGHESTMODSEQ` (RFC 7162)
    HighestModSeq(ModSeq),
    /// `NOMODSEQ` (RFC 7162)
    NoModSeq,
    /// `MODIFIED` (RFC 7162): sequence numbers or UIDs, as the command had them.
    Modified(&'a [RangeInclusive<u32>]),
    /// `CLOSED` (RFC 7162): the mailbox that was selected is so no more.
    Closed,
    /// `UNAVAILABLE` (RFC 5530, like those below)
    Unavailable,
    /// `AUTHENTICATIONFAILED`
    AuthenticationFailed,
    /// `AUTHORIZATIONFAILED`
    AuthorizationFailed,
    /// `EXPIRED`
    Expired,
    /// `PRIVACYREQUIRED`
    PrivacyRequired,
    /// `CONTACTADMIN`
    ContactAdmin,
    /// `NOPERM`
    NoPerm,
    /// `INUSE`
    InUse,
    /// `EXPUNGEISSUED`
    ExpungeIssued,
    /// `CORRUPTION`
    Corruption,
    /// `SERVERBUG`
    ServerBug,
    /// `CLIENTBUG`
    ClientBug,
    /// `CANNOT`
    Cannot,
    /// `LIMIT`
    Limit,
    /// `OVERQUOTA`
    OverQuota,
    /// `ALREADYEXISTS`
    AlreadyExists,
    /// `NONEXISTENT`
    NonExistent,
    /// `USEATTR` (RFC 6154)
    UseAttr,
    /// `TOOBIG` (RFC 4469)
    TooBig,
    /// `HASCHILDREN` (RFC 9051)
    HasChildren,
}

impl Code<'_> {
    /// Appends the code without its brackets.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let name = self.name();
        out.extend_from_slice(name.as_bytes());
        let mut numbered = |value: u64| {
            out.push(b' ');
            text::number(out, value);
        };
        match *self {
            Self::UidNext(uid) => numbered(u64::from(uid.0)),
            Self::UidValidity(validity) => numbered(u64::from(validity.0)),
            Self::Unseen(number) => numbered(u64::from(number)),
            Self::HighestModSeq(mod_seq) => numbered(mod_seq.0),
            Self::BadCharset(charsets) => {
                out.extend_from_slice(b" (");
                text::words(out, charsets.iter().copied());
                out.push(b')');
            }
            Self::Capability(names) => {
                out.push(b' ');
                text::words(out, names.iter().copied());
            }
            Self::PermanentFlags {
                flags,
                new_keywords,
            } => {
                out.extend_from_slice(b" (");
                let star = new_keywords.then_some("\\*");
                text::words(out, flags.iter().map(|flag| flag.as_str()).chain(star));
                out.push(b')');
            }
            Self::AppendUid { validity, uids } => {
                numbered(u64::from(validity.0));
                out.push(b' ');
                text::set(out, uids);
            }
            Self::CopyUid { validity, from, to } => {
                numbered(u64::from(validity.0));
                out.push(b' ');
                text::set(out, from);
                out.push(b' ');
                text::set(out, to);
            }
            Self::Modified(set) => {
                out.push(b' ');
                text::set(out, set);
            }
            _ => {}
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Alert => "ALERT",
            Self::BadCharset(_) => "BADCHARSET",
            Self::Capability(_) => "CAPABILITY",
            Self::Parse => "PARSE",
            Self::PermanentFlags { .. } => "PERMANENTFLAGS",
            Self::ReadOnly => "READ-ONLY",
            Self::ReadWrite => "READ-WRITE",
            Self::TryCreate => "TRYCREATE",
            Self::UidNext(_) => "UIDNEXT",
            Self::UidValidity(_) => "UIDVALIDITY",
            Self::Unseen(_) => "UNSEEN",
            Self::UidNotSticky => "UIDNOTSTICKY",
            Self::AppendUid { .. } => "APPENDUID",
            Self::CopyUid { .. } => "COPYUID",
            Self::HighestModSeq(_) => "HIGHESTMODSEQ",
            Self::NoModSeq => "NOMODSEQ",
            Self::Modified(_) => "MODIFIED",
            Self::Closed => "CLOSED",
            Self::Unavailable => "UNAVAILABLE",
            Self::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Self::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Self::Expired => "EXPIRED",
            Self::PrivacyRequired => "PRIVACYREQUIRED",
            Self::ContactAdmin => "CONTACTADMIN",
            Self::NoPerm => "NOPERM",
            Self::InUse => "INUSE",
            Self::ExpungeIssued => "EXPUNGEISSUED",
            Self::Corruption => "CORRUPTION",
            Self::ServerBug => "SERVERBUG",
            Self::ClientBug => "CLIENTBUG",
            Self::Cannot => "CANNOT",
            Self::Limit => "LIMIT",
            Self::OverQuota => "OVERQUOTA",
            Self::AlreadyExists => "ALREADYEXISTS",
            Self::NonExistent => "NONEXISTENT",
            Self::UseAttr => "USEATTR",
            Self::TooBig => "TOOBIG",
            Self::HasChildren => "HASCHILDREN",
        }
    }
}
