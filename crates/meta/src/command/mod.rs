//! Commands: what may be done. One file per command, its function `apply`
//! beside its type. A command does a bounded amount of work; bulk work is a
//! resumable series of commands.

use postrider_kv::{self as kv, Txn};
use serde::{Deserialize, Serialize};

use crate::api::{Command, Context, Outcome, Refusal};
use crate::stop::Stop;

mod accept;
mod add_account;
mod add_domain;
mod add_node;
mod announce_node;
mod append;
mod change_queued;
mod claim_recent;
mod copy;
mod create_mailbox;
mod delete_mailbox;
mod expunge;
mod forget_object;
mod found_cluster;
mod free_queued;
mod issue_token;
mod lease_queued;
mod name_store;
mod purge;
mod put_policy;
mod raise_version;
mod record_tls;
mod refound_cluster;
mod release_leases;
mod relocate;
mod remove_account;
mod remove_alias;
mod remove_domain;
mod remove_group;
mod remove_member;
mod remove_node;
mod rename_mailbox;
mod renew_queued;
mod set_account;
mod set_alias;
mod set_default_mailboxes;
mod set_dkim_keys;
mod set_domain;
mod set_group;
mod set_secret;
mod settle_queued;
mod settle_tls;
mod store;
mod subscribe;
mod take_leases;
mod trim;

pub use accept::{Accept, Accepted, Delivered, Delivery, Success};
pub use add_account::AddAccount;
pub use add_domain::AddDomain;
pub use add_node::{AddNode, Admission};
pub use announce_node::AnnounceNode;
pub use append::{Append, AppendMessage, Appended};
pub use change_queued::{ChangeQueued, QueueChange};
pub use claim_recent::ClaimRecent;
pub use copy::{Copied, Copy};
pub use create_mailbox::CreateMailbox;
pub use delete_mailbox::DeleteMailbox;
pub use expunge::{Expunge, Expunged};
pub use forget_object::ForgetObject;
pub use found_cluster::FoundCluster;
pub use free_queued::{FreeQueued, Freed};
pub use issue_token::IssueToken;
pub use lease_queued::{LeaseQueued, Leased};
pub use name_store::NameStore;
pub use purge::{Purge, Purged};
pub use put_policy::PutPolicy;
pub use raise_version::RaiseVersion;
pub use record_tls::RecordTls;
pub use refound_cluster::RefoundCluster;
pub use release_leases::ReleaseLeases;
pub use relocate::{Move, Relocate, Relocated};
pub use remove_account::RemoveAccount;
pub use remove_alias::RemoveAlias;
pub use remove_domain::RemoveDomain;
pub use remove_group::RemoveGroup;
pub use remove_member::RemoveMember;
pub use remove_node::RemoveNode;
pub use rename_mailbox::RenameMailbox;
pub use renew_queued::RenewQueued;
pub use set_account::SetAccount;
pub use set_alias::SetAlias;
pub use set_default_mailboxes::SetDefaultMailboxes;
pub use set_dkim_keys::SetDkimKeys;
pub use set_domain::SetDomain;
pub use set_group::{ListChange, SetGroup};
pub use set_secret::SetSecret;
pub use settle_queued::{DestinationChange, Notice, SettleQueued, Settled, Settlement};
pub use settle_tls::SettleTls;
pub use store::{Store, StoreMode, Stored};
pub use subscribe::Subscribe;
pub use take_leases::TakeLeases;
pub use trim::{Trim, Trimmed};

/// A change to an optional field: leave it, or set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change<T> {
    /// As it is.
    #[default]
    Keep,
    /// To this.
    Set(T),
}

/// Evaluates `command` in `txn`. On a refusal or an error the driver must undo
/// what was written: use [`crate::evaluate`], which does.
pub async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: Command,
) -> kv::Result<Result<Outcome, Refusal>> {
    let outcome = match command {
        Command::AddDomain(c) => add_domain::apply(txn, cx, c).await.map(Outcome::AddDomain),
        Command::SetDomain(c) => set_domain::apply(txn, cx, c).await.map(Outcome::SetDomain),
        Command::RemoveDomain(c) => remove_domain::apply(txn, cx, c)
            .await
            .map(Outcome::RemoveDomain),
        Command::AddAccount(c) => add_account::apply(txn, cx, c)
            .await
            .map(Outcome::AddAccount),
        Command::SetAccount(c) => set_account::apply(txn, cx, c)
            .await
            .map(Outcome::SetAccount),
        Command::RemoveAccount(c) => remove_account::apply(txn, cx, c)
            .await
            .map(Outcome::RemoveAccount),
        Command::SetAlias(c) => set_alias::apply(txn, cx, c).await.map(Outcome::SetAlias),
        Command::RemoveAlias(c) => remove_alias::apply(txn, cx, c)
            .await
            .map(Outcome::RemoveAlias),
        Command::SetGroup(c) => set_group::apply(txn, cx, c).await.map(Outcome::SetGroup),
        Command::RemoveGroup(c) => remove_group::apply(txn, cx, c)
            .await
            .map(Outcome::RemoveGroup),
        Command::RemoveMember(c) => remove_member::apply(txn, cx, c)
            .await
            .map(Outcome::RemoveMember),
        Command::SetDefaultMailboxes(c) => set_default_mailboxes::apply(txn, cx, c)
            .await
            .map(Outcome::SetDefaultMailboxes),
        Command::CreateMailbox(c) => create_mailbox::apply(txn, cx, c)
            .await
            .map(Outcome::CreateMailbox),
        Command::RenameMailbox(c) => rename_mailbox::apply(txn, cx, c)
            .await
            .map(Outcome::RenameMailbox),
        Command::DeleteMailbox(c) => delete_mailbox::apply(txn, cx, c)
            .await
            .map(Outcome::DeleteMailbox),
        Command::Subscribe(c) => subscribe::apply(txn, cx, c).await.map(Outcome::Subscribe),
        Command::Accept(c) => accept::apply(txn, cx, c).await.map(Outcome::Accept),
        Command::Append(c) => append::apply(txn, cx, c).await.map(Outcome::Append),
        Command::Store(c) => store::apply(txn, cx, c).await.map(Outcome::Store),
        Command::ClaimRecent(c) => claim_recent::apply(txn, cx, c)
            .await
            .map(Outcome::ClaimRecent),
        Command::Copy(c) => copy::apply(txn, cx, c).await.map(Outcome::Copy),
        Command::Expunge(c) => expunge::apply(txn, cx, c).await.map(Outcome::Expunge),
        Command::Purge(c) => purge::apply(txn, cx, c).await.map(Outcome::Purge),
        Command::Relocate(c) => relocate::apply(txn, cx, c).await.map(Outcome::Relocate),
        Command::ForgetObject(c) => forget_object::apply(txn, cx, c)
            .await
            .map(Outcome::ForgetObject),
        Command::SetSecret(c) => set_secret::apply(txn, cx, c).await.map(Outcome::SetSecret),
        Command::NameStore(c) => name_store::apply(txn, cx, c).await.map(Outcome::NameStore),
        Command::AddNode(c) => add_node::apply(txn, cx, c).await.map(Outcome::AddNode),
        Command::AnnounceNode(c) => announce_node::apply(txn, cx, c)
            .await
            .map(Outcome::AnnounceNode),
        Command::FoundCluster(c) => found_cluster::apply(txn, cx, c)
            .await
            .map(Outcome::FoundCluster),
        Command::RaiseVersion(c) => raise_version::apply(txn, cx, c)
            .await
            .map(Outcome::RaiseVersion),
        Command::RefoundCluster(c) => refound_cluster::apply(txn, cx, c)
            .await
            .map(Outcome::RefoundCluster),
        Command::IssueToken(c) => issue_token::apply(txn, cx, c)
            .await
            .map(Outcome::IssueToken),
        Command::ReleaseLeases(c) => release_leases::apply(txn, cx, c)
            .await
            .map(Outcome::ReleaseLeases),
        Command::RemoveNode(c) => remove_node::apply(txn, cx, c)
            .await
            .map(Outcome::RemoveNode),
        Command::TakeLeases(c) => take_leases::apply(txn, cx, c)
            .await
            .map(Outcome::TakeLeases),
        Command::LeaseQueued(c) => lease_queued::apply(txn, cx, c)
            .await
            .map(Outcome::LeaseQueued),
        Command::FreeQueued(c) => free_queued::apply(txn, cx, c)
            .await
            .map(Outcome::FreeQueued),
        Command::RenewQueued(c) => renew_queued::apply(txn, cx, c)
            .await
            .map(Outcome::RenewQueued),
        Command::SettleQueued(c) => settle_queued::apply(txn, cx, c)
            .await
            .map(Outcome::SettleQueued),
        Command::ChangeQueued(c) => change_queued::apply(txn, cx, c)
            .await
            .map(Outcome::ChangeQueued),
        Command::PutPolicy(c) => put_policy::apply(txn, cx, c).await.map(Outcome::PutPolicy),
        Command::SetDkimKeys(c) => set_dkim_keys::apply(txn, cx, c)
            .await
            .map(Outcome::SetDkimKeys),
        Command::RecordTls(c) => record_tls::apply(txn, cx, c).await.map(Outcome::RecordTls),
        Command::SettleTls(c) => settle_tls::apply(txn, cx, c).await.map(Outcome::SettleTls),
        Command::Trim(c) => trim::apply(txn, cx, c).await.map(Outcome::Trim),
    };
    match outcome {
        Ok(outcome) => Ok(Ok(outcome)),
        Err(Stop::Refused(refusal)) => Ok(Err(refusal)),
        Err(Stop::Store(error)) => Err(error),
    }
}
