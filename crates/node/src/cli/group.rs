//! `postrider group ...`

use clap::Subcommand;
use hyper::Method;

use super::output::Output;
use crate::admin::api;
use crate::client::{Client, segment};

#[derive(Subcommand)]
pub(super) enum Group {
    /// Add a group
    ///
    /// Example: postrider group add team@example.org alice@example.org bob@example.org
    Add {
        /// Its address
        address: String,
        /// Its first members
        #[arg(value_name = "MEMBER")]
        members: Vec<String>,
        /// Take mail from our own users only
        #[arg(long)]
        internal: bool,
        /// Make it a mailing list: copies tell so, and bounces go to its owner
        #[arg(long)]
        list: bool,
        /// Who answers for the list; the postmaster of its domain if not given
        #[arg(long, value_name = "ADDRESS", requires = "list")]
        owner: Option<String>,
        /// Let members of the list take themselves out by a link; needs a `web` listener
        #[arg(long, requires = "list")]
        unsubscribe: bool,
    },
    /// List all groups
    List,
    /// Show a group's members
    Show {
        /// Its address
        address: String,
    },
    /// Add or remove members
    #[command(subcommand)]
    Members(Members),
    /// Change who may write to a group, and what it is as a mailing list
    #[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
    Set {
        /// Its address
        address: String,
        /// Whether to take mail from our own users only
        #[arg(long, value_name = "true|false", group = "change")]
        internal: Option<bool>,
        /// Whether it is a mailing list
        #[arg(long, value_name = "true|false", group = "change")]
        list: Option<bool>,
        /// Who answers for the list; empty for the postmaster of its domain
        #[arg(long, value_name = "ADDRESS", group = "change")]
        owner: Option<String>,
        /// Whether members of the list may take themselves out by a link; needs a `web` listener
        #[arg(long, value_name = "true|false", group = "change")]
        unsubscribe: Option<bool>,
    },
    /// Remove a group
    Remove {
        /// Its address
        address: String,
    },
}

#[derive(Subcommand)]
pub(super) enum Members {
    /// Add members
    Add {
        /// The group's address
        group: String,
        /// Who joins
        #[arg(required = true, value_name = "MEMBER")]
        members: Vec<String>,
    },
    /// Remove members
    Remove {
        /// The group's address
        group: String,
        /// Who leaves
        #[arg(required = true, value_name = "MEMBER")]
        members: Vec<String>,
    },
}

impl Group {
    pub(super) async fn run(self, client: &Client, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Add {
                address,
                members,
                internal,
                list,
                owner,
                unsubscribe,
            } => {
                let group = api::Group {
                    address,
                    members,
                    internal,
                    list,
                    owner,
                    unsubscribe,
                };
                client.send(Method::POST, "groups", &group).await?;
                output.done(&format!("added the group {}", group.address))
            }
            Self::List => {
                let groups: Vec<api::Group> = client.list("groups").await?;
                output.table(&groups, ["GROUP", "MEMBERS", "INTERNAL", "LIST"], |group| {
                    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
                    [
                        group.address.clone(),
                        group.members.len().to_string(),
                        yes(group.internal),
                        yes(group.list),
                    ]
                })
            }
            Self::Show { address } => {
                let path = format!("groups/{}", segment(&address));
                let group: api::Group = client.get(&path).await?;
                if output.json {
                    return output.json(&group);
                }
                output.table(&group.members, ["MEMBERS"], |member| [member.clone()])
            }
            Self::Members(Members::Add { group, members }) => {
                let set = api::SetGroup {
                    add: members,
                    ..Default::default()
                };
                change(client, &group, &set).await?;
                output.done(&format!("added to the group {group}"))
            }
            Self::Members(Members::Remove { group, members }) => {
                let set = api::SetGroup {
                    remove: members,
                    ..Default::default()
                };
                change(client, &group, &set).await?;
                output.done(&format!("removed from the group {group}"))
            }
            Self::Set {
                address,
                internal,
                list,
                owner,
                unsubscribe,
            } => {
                let set = api::SetGroup {
                    internal,
                    list,
                    owner,
                    unsubscribe,
                    ..Default::default()
                };
                change(client, &address, &set).await?;
                output.done(&format!("changed the group {address}"))
            }
            Self::Remove { address } => {
                client
                    .delete(&format!("groups/{}", segment(&address)))
                    .await?;
                output.done(&format!("removed the group {address}"))
            }
        }
    }
}

async fn change(client: &Client, group: &str, set: &api::SetGroup) -> anyhow::Result<()> {
    client
        .send(Method::PATCH, &format!("groups/{}", segment(group)), set)
        .await
}
