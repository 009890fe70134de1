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
    /// Change whether a group takes mail from our own users only
    Set {
        /// Its address
        address: String,
        /// Whether to take mail from our own users only
        #[arg(long, value_name = "true|false")]
        internal: bool,
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
            } => {
                let group = api::Group {
                    address,
                    members,
                    internal,
                };
                client.send(Method::POST, "groups", &group).await?;
                output.done(&format!("added the group {}", group.address))
            }
            Self::List => {
                let groups: Vec<api::Group> = client.list("groups").await?;
                output.table(&groups, ["GROUP", "MEMBERS", "INTERNAL"], |group| {
                    let internal = if group.internal { "yes" } else { "no" };
                    [
                        group.address.clone(),
                        group.members.len().to_string(),
                        internal.into(),
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
            Self::Set { address, internal } => {
                let set = api::SetGroup {
                    internal: Some(internal),
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
