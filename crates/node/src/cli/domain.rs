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
        /// The server behind this one that has the addresses that are not here
        #[arg(long, value_name = "HOST[:PORT]", conflicts_with = "catch_all")]
        relay_to: Option<String>,
        /// How the connection to it is protected [default: opportunistic]
        #[arg(long, value_name = "HOW", requires = "relay_to")]
        relay_tls: Option<api::RelayTls>,
    },
    /// List all domains
    List,
    /// Show one domain
    Show {
        /// Its name
        name: String,
    },
    /// Change a domain
    ///
    /// Example: postrider domain set example.org --relay-to 192.0.2.7:25
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
        /// The server behind this one that has the addresses that are not here
        #[arg(
            long,
            group = "change",
            value_name = "HOST[:PORT]",
            conflicts_with = "no_relay"
        )]
        relay_to: Option<String>,
        /// How the connection to it is protected
        #[arg(
            long,
            group = "change",
            value_name = "HOW",
            conflicts_with = "no_relay"
        )]
        relay_tls: Option<api::RelayTls>,
        /// All addresses are here: end the relay
        #[arg(long, group = "change")]
        no_relay: bool,
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
                relay_to,
                relay_tls,
            } => {
                let add = api::AddDomain {
                    name,
                    internal,
                    catch_all,
                    relay_to,
                    relay_tls,
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
                let heads = ["DOMAIN", "ACCOUNTS", "INTERNAL", "CATCH-ALL", "RELAY TO"];
                output.table(&domains, heads, |domain| {
                    [
                        domain.name.clone(),
                        domain.accounts.to_string(),
                        if domain.internal { "yes" } else { "no" }.into(),
                        or_dash(domain.catch_all.as_ref()),
                        relay(domain),
                    ]
                })
            }
            Self::Show { name } => {
                let path = format!("domains/{}", segment(&name));
                let domain: api::Domain = client.get(&path).await?;
                if output.json {
                    return output.json(&domain);
                }
                output.print(&format!(
                    "domain:     {}\naccounts:   {}\ninternal:   {}\ncatch-all:  {}\nrelay to:   {}",
                    domain.name,
                    domain.accounts,
                    if domain.internal { "yes" } else { "no" },
                    or_dash(domain.catch_all.as_ref()),
                    relay(&domain)
                ))
            }
            Self::Set {
                name,
                internal,
                catch_all,
                no_catch_all,
                relay_to,
                relay_tls,
                no_relay,
            } => {
                let relay_to = if no_relay {
                    Some(String::new())
                } else {
                    relay_to
                };
                let catch_all = if no_catch_all {
                    Some(String::new())
                } else {
                    catch_all
                };
                let set = api::SetDomain {
                    internal,
                    catch_all,
                    relay_to,
                    relay_tls,
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

/// The server behind, and how the connection to it is protected.
fn relay(domain: &api::Domain) -> String {
    let Some(to) = &domain.relay_to else {
        return "-".into();
    };
    let tls = match domain.relay_tls {
        Some(api::RelayTls::Verified) => "verified TLS",
        Some(api::RelayTls::Off) => "no TLS",
        Some(api::RelayTls::Opportunistic) | None => "opportunistic TLS",
    };
    format!("{to}, {tls}")
}
