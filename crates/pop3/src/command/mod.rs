//! The commands, one file each, and in which state each is allowed.

pub(crate) mod auth;
pub(crate) mod capa;
pub(crate) mod dele;
pub(crate) mod list;
pub(crate) mod noop;
pub(crate) mod pass;
pub(crate) mod quit;
pub(crate) mod retr;
pub(crate) mod rset;
pub(crate) mod stat;
pub(crate) mod stls;
pub(crate) mod top;
pub(crate) mod uidl;
pub(crate) mod user;

mod login;
mod send;

use postrider_proto::pop3::Command;

/// The state in which a command is allowed (RFC 1939 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Any,
    Authorization,
    Transaction,
}

/// The state in which `command` is allowed.
pub(crate) fn state(command: &Command) -> State {
    match command {
        Command::Capa | Command::Quit => State::Any,
        Command::Auth { .. } | Command::Pass(_) | Command::Stls | Command::User(_) => {
            State::Authorization
        }
        Command::Dele(_)
        | Command::List(_)
        | Command::Noop
        | Command::Retr(_)
        | Command::Rset
        | Command::Stat
        | Command::Top(..)
        | Command::Uidl(_) => State::Transaction,
    }
}

impl State {
    pub(crate) fn allows(self, logged_in: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Authorization => !logged_in,
            Self::Transaction => logged_in,
        }
    }

    pub(crate) fn refusal(self) -> &'static str {
        match self {
            Self::Transaction => "log in first",
            Self::Any | Self::Authorization => "you are logged in already",
        }
    }
}

const NO_SUCH_MESSAGE: &str = "no such message";
const NO_MAJORITY: &str = "the mail servers have lost touch with each other: nothing can be \
                           deleted now, try again later";
