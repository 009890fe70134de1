//! `postrider group ...`

use clap::Subcommand;
use hyper::Method;

use super::output::{Output, columns};
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
    /// Show what a group is, and its members
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
                output.print(&text(&group))
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

/// What a group is, and its members.
fn text(group: &api::Group) -> String {
    let owner = || match &group.owner {
        Some(owner) => owner.as_str(),
        None => "the postmaster of its domain",
    };
    let mut lines = vec![
        ("group", group.address.as_str()),
        (
            "takes mail",
            match group.internal {
                true => "from our own users only",
                false => "from everybody",
            },
        ),
    ];
    if group.list {
        let way_out = match group.unsubscribe {
            true => "by a link in each copy",
            false => "by asking the owner",
        };
        lines.extend([
            ("mailing list", "yes"),
            ("owner", owner()),
            ("way out", way_out),
        ]);
    }
    let lines = lines
        .iter()
        .map(|(name, value)| format!("{name:<14}{value}\n"));
    let members = group.members.iter().map(|member| [member.clone()]);
    lines.collect::<String>() + "\n" + &columns(["MEMBERS"], members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_tells_its_owner_and_its_way_out() {
        let mut group = api::Group {
            address: "club@example.test".into(),
            members: vec!["bob@example.test".into()],
            internal: false,
            list: true,
            owner: Some("alice@example.test".into()),
            unsubscribe: true,
        };
        let told = "group         club@example.test\n\
                    takes mail    from everybody\n\
                    mailing list  yes\n\
                    owner         alice@example.test\n\
                    way out       by a link in each copy\n\n\
                    MEMBERS\nbob@example.test\n";
        assert_eq!(text(&group), told);
        group.list = false;
        group.internal = true;
        let told = "group         club@example.test\n\
                    takes mail    from our own users only\n\n\
                    MEMBERS\nbob@example.test\n";
        assert_eq!(text(&group), told);
    }
}
