//! What looking for a route can end with, in the words of a delivery report.

use std::path::PathBuf;

use postrider_types::EnhancedStatus;

/// Why there is no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Asking again does not help: the mail goes back to its sender.
    #[error("{text} ({status})")]
    Permanent {
        /// The status for the report.
        status: EnhancedStatus,
        /// What is wrong, for the sender.
        text: String,
    },
    /// Asking again later may help.
    #[error("{text} ({status})")]
    Temporary {
        /// The status for the report.
        status: EnhancedStatus,
        /// What is wrong, for the sender.
        text: String,
    },
}

impl Error {
    /// The status for the report.
    pub fn status(&self) -> EnhancedStatus {
        match self {
            Self::Permanent { status, .. } | Self::Temporary { status, .. } => *status,
        }
    }

    /// What is wrong, for the sender.
    pub fn text(&self) -> &str {
        match self {
            Self::Permanent { text, .. } | Self::Temporary { text, .. } => text,
        }
    }

    /// Whether asking again does not help.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Permanent { .. })
    }

    /// The domain does not exist, or takes no mail at all.
    pub(crate) fn no_domain(text: String) -> Self {
        let status = EnhancedStatus(5, 1, 2);
        Self::Permanent { status, text }
    }

    /// RFC 7505 §4.1: the domain says that it takes no mail.
    pub(crate) fn null_mx(text: String) -> Self {
        let status = EnhancedStatus(5, 1, 10);
        Self::Permanent { status, text }
    }

    /// The domain names hosts, and none of them can be reached by anyone.
    pub(crate) fn no_host(text: String) -> Self {
        let status = EnhancedStatus(5, 4, 4);
        Self::Permanent { status, text }
    }

    /// The best way to the domain leads back to this server.
    pub(crate) fn loops(text: String) -> Self {
        let status = EnhancedStatus(5, 4, 6);
        Self::Permanent { status, text }
    }

    /// The name servers gave no usable answer.
    pub(crate) fn dns(text: impl Into<String>) -> Self {
        Self::Temporary {
            status: EnhancedStatus(4, 4, 3),
            text: text.into(),
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The system's list of name servers cannot be read.
    #[error(
        "cannot read the system's name servers: {0}; \
         correct /etc/resolv.conf, or name servers in queue.dns.servers"
    )]
    System(String),
    /// A file cannot be used.
    #[error("cannot use {file}: {reason}")]
    File {
        /// The file.
        file: PathBuf,
        /// Why, and what is needed.
        reason: String,
    },
    /// The resolver or TLS cannot be set up.
    #[error("cannot set up {part}: {reason}")]
    Part {
        /// What it is.
        part: &'static str,
        /// Why.
        reason: String,
    },
}
