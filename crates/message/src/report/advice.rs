//! What a status means in plain words, and what the reader can do about it
//! (RFC 3463 §3, and the registry of RFC 5248).

use postrider_types::EnhancedStatus;

/// What happened, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    /// A sentence.
    pub(super) reason: &'static str,
    /// What the reader can do, one or two sentences.
    pub(super) help: &'static str,
}

const fn new(reason: &'static str, help: &'static str) -> Advice {
    Advice { reason, help }
}

const TRY_LATER: &str = "Please try again later. If it is urgent, reach the recipient in another \
                         way.";
const ASK_POSTMASTER: &str = "Please show this message to your administrator.";

/// What `status` means.
pub(super) fn of(status: EnhancedStatus) -> Advice {
    let EnhancedStatus(class, subject, detail) = status;
    let known = match subject {
        1 => address(detail),
        2 => mailbox(detail),
        3 => system(detail),
        4 => Some(network(detail)),
        5 => protocol(detail),
        6 => Some(content(detail)),
        7 => Some(policy(detail)),
        _ => None,
    };
    known.unwrap_or(match class {
        4 => new(
            "The other server could not take the message at the time.",
            TRY_LATER,
        ),
        _ => new(
            "The other server did not take the message.",
            "What it said may tell why. If it does not, please ask your administrator.",
        ),
    })
}

fn address(detail: u16) -> Option<Advice> {
    Some(match detail {
        0 | 1 => new(
            "There is no mailbox with this address.",
            "Please check the address for typing errors. If it is right, ask the recipient in \
             another way whether it has changed.",
        ),
        2 => new(
            "The domain after the @ does not exist or has no mail server.",
            "Please check that part of the address for typing errors.",
        ),
        3 => new(
            "The address is not written in a form that the other server understands.",
            "Please check the address for typing errors.",
        ),
        4 => new(
            "The address means more than one mailbox.",
            "Please use a more exact address.",
        ),
        6 => new(
            "The mailbox has moved, and its mail is not forwarded.",
            "Please ask the recipient for the new address.",
        ),
        7 | 8 => new(
            "The other server did not accept your own address as the sender.",
            "Please check the sender's address in your mail program, or show this message to \
             your administrator.",
        ),
        10 => new(
            "The domain after the @ says that it receives no mail at all.",
            "Please check that part of the address for typing errors, or look for another \
             address of the recipient.",
        ),
        _ => return None,
    })
}

fn mailbox(detail: u16) -> Option<Advice> {
    Some(match detail {
        1 => new(
            "The mailbox exists but is switched off.",
            "Please reach the recipient in another way.",
        ),
        2 => new(
            "The recipient's mailbox is full.",
            "Please try again later, or let the recipient know in another way.",
        ),
        3 => TOO_LARGE,
        4 => new(
            "The mailing list could not pass the message on.",
            "Please tell whoever runs the list.",
        ),
        _ => return None,
    })
}

const TOO_LARGE: Advice = new(
    "The message is larger than the other server accepts.",
    "Please make the attachments smaller or send a link to them instead.",
);

fn system(detail: u16) -> Option<Advice> {
    Some(match detail {
        1 => new("The other server has no room left.", TRY_LATER),
        2 => new("The other server takes no mail at the moment.", TRY_LATER),
        4 => TOO_LARGE,
        5 => new(
            "The servers on the way are not set up correctly.",
            ASK_POSTMASTER,
        ),
        _ => return None,
    })
}

fn network(detail: u16) -> Advice {
    match detail {
        3 | 4 => new(
            "The mail server of the domain after the @ could not be found.",
            "Please check that part of the address for typing errors. If it is right, try again \
             later.",
        ),
        6 => new(
            "The message went round in circles between servers.",
            "The recipient's mail is not set up correctly. Please reach the recipient in another \
             way and show this message to your administrator.",
        ),
        7 => new(
            "The message could not be delivered in time.",
            "Please check the address for typing errors. If it is right, try again later or \
             reach the recipient in another way.",
        ),
        _ => new(
            "The other server did not answer, or the connection to it broke.",
            "Please check the part of the address after the @ for typing errors. If it is right, \
             try again later.",
        ),
    }
}

fn protocol(detail: u16) -> Option<Advice> {
    (detail == 3).then_some(new(
        "The message has more recipients than the other server accepts at once.",
        "Please send it to fewer recipients at a time.",
    ))
}

fn content(detail: u16) -> Advice {
    match detail {
        7..=10 => new(
            "The other server does not know addresses with letters other than a to z.",
            "Please use an address of the recipient without such letters, if there is one.",
        ),
        3 => new(
            "The message has a form that the other server does not take and that could not be \
             changed for it.",
            "Please send it as plain text or without a signature.",
        ),
        _ => new(
            "The other server did not accept what the message contains.",
            "Please try again without attachments, or in plain text.",
        ),
    }
}

fn policy(detail: u16) -> Advice {
    match detail {
        2 => new(
            "You are not allowed to send to this mailing list or group.",
            "Please ask whoever runs it.",
        ),
        10 | 30 => new(
            "The message had to travel encrypted, and the other server offered no secure way.",
            ASK_POSTMASTER,
        ),
        20..=29 => new(
            "The other server could not verify that the message comes from your domain.",
            "Nothing is wrong with your message. Please show this message to your administrator.",
        ),
        _ => new(
            "The other server refuses the message by its rules, for instance as unwanted mail.",
            "What it said may tell why. Please show this message to your administrator, who can \
             talk to the other side.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_words() {
        for class in [2, 4, 5] {
            for subject in 0..=9 {
                for detail in 0..=40 {
                    let advice = of(EnhancedStatus(class, subject, detail));
                    for text in [advice.reason, advice.help] {
                        assert!(text.is_ascii() && text.ends_with('.'), "{text}");
                        assert!(!text.contains("  "), "{text}");
                    }
                }
            }
        }
        let reason = |a, b| of(EnhancedStatus(5, a, b)).reason;
        assert!(reason(1, 1).contains("no mailbox"));
        assert!(reason(1, 2).contains("domain"));
        assert!(reason(2, 2).contains("full"));
        assert!(reason(3, 4).contains("larger"));
        assert!(reason(7, 1).contains("rules"));
        assert_ne!(
            of(EnhancedStatus(4, 0, 0)).reason,
            of(EnhancedStatus(5, 0, 0)).reason
        );
    }
}
