//! `postrider default-mailboxes ...`

use clap::Subcommand;
use hyper::Method;

use super::output::{Output, or_dash};
use crate::admin::api;
use crate::client::Client;

const PATH: &str = "default-mailboxes";

#[derive(Subcommand)]
pub(super) enum DefaultMailboxes {
    /// List the mailboxes that each new account gets beside INBOX
    List,
    /// Replace the list; accounts that exist are left alone
    ///
    /// Example: postrider default-mailboxes set Drafts:drafts Sent:sent Trash:trash Projects
    Set {
        /// A mailbox's name, `/` between levels, then optionally a colon and its special use:
        /// archive, drafts, flagged, junk, sent or trash
        #[arg(value_name = "NAME[:USE]", value_parser = mailbox)]
        mailboxes: Vec<api::Mailbox>,
    },
}

fn mailbox(text: &str) -> Result<api::Mailbox, String> {
    let (name, special_use) = match text.rsplit_once(':') {
        Some((name, use_)) => (name, Some(use_.to_owned())),
        None => (text, None),
    };
    let mailbox = api::Mailbox {
        name: name.to_owned(),
        special_use,
    };
    mailbox.clone().into_default()?;
    Ok(mailbox)
}

impl DefaultMailboxes {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        match self {
            Self::List => {
                let list: api::DefaultMailboxes = client.get(PATH).await?;
                output.table(&list.mailboxes, ["MAILBOX", "SPECIAL USE"], |mailbox| {
                    [mailbox.name.clone(), or_dash(mailbox.special_use.as_ref())]
                })
            }
            Self::Set { mailboxes } => {
                let list = api::DefaultMailboxes { mailboxes };
                client.send(Method::PUT, PATH, &list).await?;
                output.done(&format!(
                    "each new account gets INBOX and {} more",
                    list.mailboxes.len()
                ))
            }
        }
    }
}
