//! Which entries a command means.

use clap::Args;

use crate::admin::api;
use crate::client::value;

/// All that is given must fit.
#[derive(Args, Default)]
#[command(next_help_heading = "Which entries")]
pub(super) struct Filter {
    /// This occurs in the sender
    #[arg(long, value_name = "TEXT")]
    sender: Option<String>,
    /// This occurs in a recipient's address
    #[arg(long, value_name = "TEXT")]
    recipient: Option<String>,
    /// They go to this domain, such as example.net
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// This occurs in the last error
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// They wait, are leased by a node that is trying them, or are held
    #[arg(long, value_parser = ["waiting", "leased", "held"])]
    state: Option<String>,
}

impl Filter {
    /// What goes to `domain`, if one is given.
    pub(super) fn to(domain: Option<String>) -> Self {
        Self {
            domain,
            ..Self::default()
        }
    }

    /// The path of the list of entries that fit, ending in a query.
    pub(super) fn path(&self) -> String {
        let pairs = [
            ("sender", &self.sender),
            ("recipient", &self.recipient),
            ("domain", &self.domain),
            ("error", &self.error),
            ("state", &self.state),
        ];
        let given = pairs.iter().filter_map(|(name, text)| {
            let text = text.as_ref()?;
            Some(format!("&{name}={}", value(text)))
        });
        format!("queue?{}", given.collect::<String>())
    }

    /// The same for a change; all entries if `all`.
    pub(super) fn select(self, all: bool) -> api::Select {
        api::Select {
            sender: self.sender,
            recipient: self.recipient,
            domain: self.domain,
            error: self.error,
            state: self.state,
            all,
            ..api::Select::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_becomes_a_query() {
        let filter = Filter {
            sender: Some("a+b@example.org".into()),
            error: Some("no & yes".into()),
            ..Filter::default()
        };
        assert_eq!(
            filter.path(),
            "queue?&sender=a%2Bb@example.org&error=no%20%26%20yes"
        );
        assert_eq!(Filter::default().path(), "queue?");
    }
}
