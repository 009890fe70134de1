//! `postrider domain ...`

use clap::{ArgGroup, Subcommand};
use hyper::Method;

use super::dns;
use super::output::{Output, or_dash};
use crate::admin::api;
use crate::client::{Client, segment};

#[derive(Subcommand)]
pub(super) enum Domain {
    /// Add a domain, with keys to sign its mail, and show the DNS records to publish
    ///
    /// Example: postrider domain add example.org --catch-all office@example.org
    Add {
        /// Its name, such as example.org
        name: String,
        /// Take mail from our own users only
        #[arg(long)]
        internal: bool,
        /// Who receives mail to addresses that do not exist
        #[arg(long, value_name = "ADDRESS")]
        catch_all: Option<String>,
    },
    /// List all domains
    List,
    /// Change a domain
    ///
    /// Example: postrider domain set example.org --no-catch-all
    #[command(group(ArgGroup::new("change").required(true).multiple(true)))]
    Set {
        /// Its name
        name: String,
        /// Whether to take mail from our own users only
        #[arg(long, group = "change", value_name = "true|false")]
        internal: Option<bool>,
        /// Who receives mail to addresses that do not exist
        #[arg(
            long,
            group = "change",
            value_name = "ADDRESS",
            conflicts_with = "no_catch_all"
        )]
        catch_all: Option<String>,
        /// Refuse mail to addresses that do not exist
        #[arg(long, group = "change")]
        no_catch_all: bool,
    },
    Dns(dns::Dns),
    RotateKeys(dns::RotateKeys),
    /// Remove a domain; its accounts, aliases and groups must be removed first
    Remove {
        /// Its name
        name: String,
    },
}

impl Domain {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Add {
                name,
                internal,
                catch_all,
            } => {
                let add = api::AddDomain {
                    name,
                    internal,
                    catch_all,
                };
                client.send(Method::POST, "domains", &add).await?;
                let dns = dns::get(client, &add.name).await?;
                if output.json {
                    return output.json(&dns);
                }
                output.print(&format!(
                    "added the domain {}\n\n{}",
                    add.name,
                    dns::text(&dns)
                ))
            }
            Self::Dns(args) => args.run(client, output).await,
            Self::RotateKeys(args) => args.run(client, output).await,
            Self::List => {
                let domains: Vec<api::Domain> = client.list("domains").await?;
                let heads = ["DOMAIN", "ACCOUNTS", "INTERNAL", "CATCH-ALL"];
                output.table(&domains, heads, |domain| {
                    [
                        domain.name.clone(),
                        domain.accounts.to_string(),
                        if domain.internal { "yes" } else { "no" }.into(),
                        or_dash(domain.catch_all.as_ref()),
                    ]
                })
            }
            Self::Set {
                name,
                internal,
                catch_all,
                no_catch_all,
            } => {
                let catch_all = if no_catch_all {
                    Some(String::new())
                } else {
                    catch_all
                };
                let set = api::SetDomain {
                    internal,
                    catch_all,
                };
                let path = format!("domains/{}", segment(&name));
                client.send(Method::PATCH, &path, &set).await?;
                output.done(&format!("changed the domain {name}"))
            }
            Self::Remove { name } => {
                client
                    .delete(&format!("domains/{}", segment(&name)))
                    .await?;
                output.done(&format!("removed the domain {name}"))
            }
        }
    }
}
