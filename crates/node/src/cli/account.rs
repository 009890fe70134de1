//! `postrider account ...`

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{ArgGroup, Args, Subcommand};
use hyper::Method;
use postrider_types::human;

use super::output::{Output, or_dash};
use crate::admin::api;
use crate::client::{Client, segment, value};

/// The most bytes read as a password.
const MAX_PASSWORD: u64 = 4096;

#[derive(Subcommand)]
pub(super) enum Account {
    /// Add an account; its domain must exist
    ///
    /// Asks for the password unless it is given by a file or standard input.
    ///
    /// Example: postrider account add carol@example.org --quota 2GiB
    Add {
        /// Its address, which is also the login
        address: String,
        #[command(flatten)]
        password: Password,
        #[command(flatten)]
        limits: Limits,
    },
    /// List accounts
    List {
        /// Only of this domain
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
    },
    /// Show one account with its use and limits
    Show {
        /// Its address
        address: String,
    },
    /// Change an account's password
    Passwd {
        /// Its address
        address: String,
        #[command(flatten)]
        password: Password,
    },
    /// Change an account's limits, expiry date or state
    ///
    /// Example: postrider account set carol@example.org --quota 5GiB --expires 2027-01-31
    #[command(group(ArgGroup::new("change").required(true).multiple(true)
        .args(["quota", "quota_messages", "expires", "state"])))]
    Set {
        /// Its address
        address: String,
        #[command(flatten)]
        limits: Limits,
        /// active, or suspended: no login, but mail is still received
        #[arg(long, value_parser = ["active", "suspended"])]
        state: Option<String>,
    },
    /// Remove an account and all its mail, for good
    Remove {
        /// Its address
        address: String,
    },
}

#[derive(Args)]
pub(super) struct Limits {
    /// The most bytes it may store, such as 500MiB or 2GiB; 0 for no limit
    #[arg(long, value_name = "SIZE", value_parser = human::parse_size)]
    quota: Option<u64>,
    /// The most messages it may store; 0 for no limit
    #[arg(long, value_name = "COUNT")]
    quota_messages: Option<u64>,
    /// The day from whose beginning (UTC) on it takes neither logins nor mail, such as
    /// 2027-01-31; `never` removes the date
    #[arg(long, value_name = "DATE", value_parser = expiry)]
    expires: Option<String>,
}

fn expiry(text: &str) -> Result<String, String> {
    match text {
        "never" => Ok(String::new()),
        date => crate::date::parse(date).map(|_| date.to_owned()),
    }
}

#[derive(Args)]
#[group(multiple = false)]
pub(super) struct Password {
    /// Read the password from standard input (one line)
    #[arg(long)]
    password_stdin: bool,
    /// Read the password from the first line of this file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Password {
    fn read(self, address: &str) -> anyhow::Result<String> {
        if let Some(file) = self.password_file {
            let open = std::fs::File::open(&file);
            let text = open.and_then(first_line);
            return text.with_context(|| format!("cannot read {}", file.display()));
        }
        if self.password_stdin {
            return first_line(std::io::stdin()).context("cannot read standard input");
        }
        if !std::io::stdin().is_terminal() {
            bail!(
                "there is no terminal to ask for the password: use --password-stdin or --password-file"
            );
        }
        let ask =
            |text: String| rpassword::prompt_password(text).context("cannot ask for the password");
        let password = ask(format!("New password for {address}: "))?;
        if ask("The same again: ".into())? != password {
            bail!("the two passwords differ; nothing was changed");
        }
        Ok(password)
    }
}

fn first_line(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(MAX_PASSWORD).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

impl Account {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Add {
                address,
                password,
                limits,
            } => {
                let add = api::AddAccount {
                    password: password.read(&address)?,
                    address,
                    quota_bytes: limits.quota,
                    quota_messages: limits.quota_messages,
                    expires: limits.expires,
                };
                client.send(Method::POST, "accounts", &add).await?;
                output.done(&format!("added the account {}", add.address))
            }
            Self::List { domain } => {
                let only = domain.map(|d| format!("?domain={}", value(&d)));
                let path = format!("accounts{}", only.unwrap_or_default());
                let accounts: Vec<api::Account> = client.list(&path).await?;
                let heads = ["ACCOUNT", "STATE", "MESSAGES", "USED", "QUOTA", "EXPIRES"];
                output.table(&accounts, heads, |account| {
                    [
                        account.address.clone(),
                        account.state.clone(),
                        account.messages.to_string(),
                        human::format_size(account.bytes).to_string(),
                        or_dash(account.quota_bytes.map(human::format_size)),
                        or_dash(account.expires.as_ref()),
                    ]
                })
            }
            Self::Show { address } => show(client, output, &address).await,
            Self::Passwd { address, password } => {
                let set = api::SetAccount {
                    password: Some(password.read(&address)?),
                    ..api::SetAccount::default()
                };
                change(client, &address, &set).await?;
                output.done(&format!("changed the password of {address}"))
            }
            Self::Set {
                address,
                limits,
                state,
            } => {
                let set = api::SetAccount {
                    password: None,
                    quota_bytes: limits.quota,
                    quota_messages: limits.quota_messages,
                    expires: limits.expires,
                    state,
                };
                change(client, &address, &set).await?;
                output.done(&format!("changed the account {address}"))
            }
            Self::Remove { address } => {
                client
                    .delete(&format!("accounts/{}", segment(&address)))
                    .await?;
                output.done(&format!(
                    "removed the account {address}; its mail is being deleted"
                ))
            }
        }
    }
}

async fn change(client: &Client, address: &str, set: &api::SetAccount) -> anyhow::Result<()> {
    let path = format!("accounts/{}", segment(address));
    client.send(Method::PATCH, &path, set).await
}

async fn show(client: &Client, output: Output, address: &str) -> anyhow::Result<()> {
    let account: api::Account = client
        .get(&format!("accounts/{}", segment(address)))
        .await?;
    if output.json {
        return output.json(&account);
    }
    let limit =
        |limit: Option<String>| limit.map_or_else(|| "no limit".into(), |l| format!("of {l}"));
    let bytes = limit(
        account
            .quota_bytes
            .map(|n| human::format_size(n).to_string()),
    );
    output.print(&format!(
        "account   {}\nstate     {}\ncreated   {}\nexpires   {}\nmessages  {} ({})\nused      {} ({})\n",
        account.address,
        account.state,
        account.created,
        account.expires.as_deref().unwrap_or("never"),
        account.messages,
        limit(account.quota_messages.map(|n| n.to_string())),
        human::format_size(account.bytes),
        bytes,
    ))
}
