//! `postrider alias ...`

use clap::Subcommand;
use hyper::Method;

use super::output::Output;
use crate::admin::api;
use crate::client::{Client, segment};

#[derive(Subcommand)]
pub(super) enum Alias {
    /// Add an alias
    ///
    /// Example: postrider alias add info@example.org alice@example.org bob@example.org
    Add {
        /// The alias
        address: String,
        /// Where its mail goes
        #[arg(required = true, value_name = "TARGET")]
        targets: Vec<String>,
        /// Replace the targets of an alias that exists already
        #[arg(long)]
        replace: bool,
    },
    /// List all aliases
    List,
    /// Remove an alias
    Remove {
        /// The alias
        address: String,
    },
}

impl Alias {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Add {
                address,
                targets,
                replace,
            } => {
                let alias = api::Alias {
                    address,
                    targets,
                    only_new: !replace,
                };
                client.send(Method::PUT, "aliases", &alias).await?;
                let targets = alias.targets.join(", ");
                output.done(&format!("mail to {} goes to {targets}", alias.address))
            }
            Self::List => {
                let aliases: Vec<api::Alias> = client.list("aliases").await?;
                output.table(&aliases, ["ALIAS", "TARGETS"], |alias| {
                    [alias.address.clone(), alias.targets.join(", ")]
                })
            }
            Self::Remove { address } => {
                client
                    .delete(&format!("aliases/{}", segment(&address)))
                    .await?;
                output.done(&format!("removed the alias {address}"))
            }
        }
    }
}
