//! Queries: what may be asked. One file per query, its function `answer` beside
//! its type. Every answer is bounded; long ones come in pages.

use postrider_kv::{self as kv, Read};

use crate::api::{Answer, Query};

mod account;
mod accounts;
mod aliases;
mod all_bodies;
mod authority;
mod bodies;
mod changes_since;
mod cluster;
mod cluster_version;
mod dead_objects;
mod default_mailboxes;
mod dkim_keys;
mod domain;
mod domains;
mod groups;
mod inline_bodies;
mod inline_usage;
mod known_objects;
mod leases;
mod login;
mod mailbox_by_name;
mod mailboxes;
mod may_join;
mod may_send_as;
mod messages;
mod nodes;
mod objects;
mod pack_contents;
mod packs;
mod page;
mod queue;
mod queue_destination;
mod queue_destinations;
mod queue_next;
mod queue_stats;
mod queued;
mod quota;
mod resolve;
mod secret;
mod store_id;
mod sts_policy;
mod subscriptions;
mod tls_results;
mod trace;
mod unfinished;

pub use account::Account;
pub use accounts::Accounts;
pub use aliases::Aliases;
pub use all_bodies::AllBodies;
pub use authority::Authority;
pub use bodies::Bodies;
pub use changes_since::{ChangePage, ChangesSince};
pub use cluster::Cluster;
pub use cluster_version::ClusterVersion;
pub use dead_objects::DeadObjects;
pub use default_mailboxes::DefaultMailboxes;
pub use dkim_keys::DkimKeys;
pub use domain::Domain;
pub use domains::Domains;
pub use groups::Groups;
pub use inline_bodies::InlineBodies;
pub use inline_usage::InlineUsage;
pub use known_objects::KnownObjects;
pub use leases::Leases;
pub use login::Login;
pub use mailbox_by_name::MailboxByName;
pub use mailboxes::Mailboxes;
pub use may_join::MayJoin;
pub use may_send_as::MaySendAs;
pub use messages::{MessagePage, Messages};
pub use nodes::Nodes;
pub use objects::Objects;
pub use pack_contents::PackContents;
pub use packs::Packs;
pub use queue::{Queue, QueueFilter, StateKind};
pub use queue_destination::QueueDestination;
pub use queue_destinations::QueueDestinations;
pub use queue_next::QueueNext;
pub use queue_stats::QueueStats;
pub use queued::Queued;
pub use quota::Quota;
pub use resolve::{List, Membership, Outside, Recipient, Resolution, Resolve};
pub use secret::Secret;
pub use store_id::StoreId;
pub use sts_policy::StsPolicy;
pub use subscriptions::Subscriptions;
pub use tls_results::TlsResults;
pub use trace::Trace;
pub use unfinished::{Backlog, Unfinished};

/// Answers `query` from the state `read`.
pub async fn answer<R: Read>(read: &R, query: Query) -> kv::Result<Answer> {
    Ok(match query {
        Query::Domain(q) => Answer::Domain(domain::answer(read, q).await?),
        Query::Domains(q) => Answer::Domains(domains::answer(read, q).await?),
        Query::Accounts(q) => Answer::Accounts(accounts::answer(read, q).await?),
        Query::Account(q) => Answer::Account(account::answer(read, q).await?),
        Query::Aliases(q) => Answer::Aliases(aliases::answer(read, q).await?),
        Query::Groups(q) => Answer::Groups(groups::answer(read, q).await?),
        Query::DefaultMailboxes(q) => {
            Answer::DefaultMailboxes(default_mailboxes::answer(read, q).await?)
        }
        Query::Login(q) => Answer::Login(login::answer(read, q).await?),
        Query::Resolve(q) => Answer::Resolve(resolve::answer(read, q).await?),
        Query::MaySendAs(q) => Answer::MaySendAs(may_send_as::answer(read, q).await?),
        Query::Quota(q) => Answer::Quota(quota::answer(read, q).await?),
        Query::Mailboxes(q) => Answer::Mailboxes(mailboxes::answer(read, q).await?),
        Query::MailboxByName(q) => Answer::MailboxByName(mailbox_by_name::answer(read, q).await?),
        Query::Subscriptions(q) => Answer::Subscriptions(subscriptions::answer(read, q).await?),
        Query::Messages(q) => Answer::Messages(messages::answer(read, q).await?),
        Query::ChangesSince(q) => Answer::ChangesSince(changes_since::answer(read, q).await?),
        Query::Bodies(q) => Answer::Bodies(bodies::answer(read, q).await?),
        Query::AllBodies(q) => Answer::AllBodies(all_bodies::answer(read, q).await?),
        Query::Objects(q) => Answer::Objects(objects::answer(read, q).await?),
        Query::InlineBodies(q) => Answer::InlineBodies(inline_bodies::answer(read, q).await?),
        Query::Packs(q) => Answer::Packs(packs::answer(read, q).await?),
        Query::PackContents(q) => Answer::PackContents(pack_contents::answer(read, q).await?),
        Query::DeadObjects(q) => Answer::DeadObjects(dead_objects::answer(read, q).await?),
        Query::KnownObjects(q) => Answer::KnownObjects(known_objects::answer(read, q).await?),
        Query::InlineUsage(q) => Answer::InlineUsage(inline_usage::answer(read, q).await?),
        Query::Secret(q) => Answer::Secret(secret::answer(read, q).await?),
        Query::StoreId(q) => Answer::StoreId(store_id::answer(read, q).await?),
        Query::Authority(q) => Answer::Authority(authority::answer(read, q).await?),
        Query::Cluster(q) => Answer::Cluster(cluster::answer(read, q).await?),
        Query::ClusterVersion(q) => Answer::ClusterVersion(cluster_version::answer(read, q).await?),
        Query::Leases(q) => Answer::Leases(leases::answer(read, q).await?),
        Query::Nodes(q) => Answer::Nodes(nodes::answer(read, q).await?),
        Query::MayJoin(q) => Answer::MayJoin(may_join::answer(read, q).await?),
        Query::Queued(q) => Answer::Queued(queued::answer(read, q).await?),
        Query::Queue(q) => Answer::Queue(queue::answer(read, q).await?),
        Query::QueueDestination(q) => {
            Answer::QueueDestination(queue_destination::answer(read, q).await?)
        }
        Query::QueueNext(q) => Answer::QueueNext(queue_next::answer(read, q).await?),
        Query::QueueDestinations(q) => {
            Answer::QueueDestinations(queue_destinations::answer(read, q).await?)
        }
        Query::QueueStats(q) => Answer::QueueStats(queue_stats::answer(read, q).await?),
        Query::Trace(q) => Answer::Trace(trace::answer(read, q).await?),
        Query::StsPolicy(q) => Answer::StsPolicy(sts_policy::answer(read, q).await?),
        Query::DkimKeys(q) => Answer::DkimKeys(dkim_keys::answer(read, q).await?),
        Query::TlsResults(q) => Answer::TlsResults(tls_results::answer(read, q).await?),
        Query::Unfinished(q) => Answer::Unfinished(unfinished::answer(read, q).await?),
    })
}
