//! The upper seam: [`Meta`], and the sum types of commands, outcomes, queries and
//! answers.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use postrider_types::{
    AccountId, CommandId, DomainId, MailboxId, Millis, NodeId, QueueId, Uid, Version,
};
use serde::{Deserialize, Serialize};

use crate::view::{
    AccountView, AliasView, Authority, BodyView, ClusterView, DefaultMailbox, DestinationView,
    DkimKey, DomainView, GroupView, LeaseView, LoginView, MailboxView, NodeView, ObjectView, Page,
    QueueStats, QueuedView, QuotaView, StsPolicy, TlsResults, TraceView,
};
use crate::{command as c, query as q};

/// How far a state has advanced: the applied index of the store. Ascends.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Token(pub u64);

/// How fresh a query's state must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadAt {
    /// Includes everything that anybody was told before the query began
    /// (linearizable). Used where a client looks: SELECT, STATUS, NOOP, LIST,
    /// POP3 login, RCPT.
    Latest,
    /// At least the state of this token: a session's own writes.
    AtLeast(Token),
}

/// What a command sees beside its own fields.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The moment of evaluation, decided once by the driver.
    pub now: Millis,
    /// The same, or later where the clock has jumped back: dates deaths, so that nothing
    /// seems to be dead for long and is removed before a backup can do without it.
    pub latest: Millis,
    /// The command's id.
    pub id: CommandId,
    /// What is written must be readable by every program that works in a cluster of
    /// this version: newer forms are used where it has the feature.
    pub version: Version,
}

/// The store cannot answer now. Nothing is known about the command: sent
/// again under the same id it is applied at most once.
#[derive(Clone, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum Error {
    /// No leader, no majority, shutting down, or the time was up.
    #[error("the metadata store is not available: {0}")]
    Unavailable(String),
    /// The disks of the nodes that could execute it are nearly full.
    #[error("{0}")]
    Full(String),
    /// The store or a row in it is damaged, or evaluation failed.
    #[error("the metadata store failed: {0}")]
    Failed(String),
}

/// Why the domain said no. Final for this state: the same command would be
/// refused again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// No such domain, account, alias, group, mailbox or message.
    #[error("no such {0}")]
    NotFound(String),
    /// The name is taken.
    #[error("{0} exists already")]
    Exists(String),
    /// The account would exceed its quota.
    #[error("over quota")]
    OverQuota,
    /// The account is suspended, expired or being removed.
    #[error("the account is closed")]
    Closed,
    /// The value breaks a rule; the text says which and what is allowed.
    #[error("{0}")]
    Invalid(String),
    /// A bound of the product was reached; the text says which.
    #[error("{0}")]
    Limit(String),
    /// Not while something else depends on it; the text says what.
    #[error("{0}")]
    InUse(String),
    /// Inline bodies have used up their budget: the object store is away.
    #[error("the store for message bodies is not available")]
    InlineBudget,
    /// The uploaded object is too old to be trusted to exist: upload again.
    #[error("the uploaded body has expired")]
    BodyExpired,
}

/// Hints that something of an account changed. A hint may be lost or come
/// twice; it only says when to look.
pub type Changes = BoxStream<'static, ()>;

/// An executed command.
#[derive(Clone, Debug)]
pub struct Executed {
    /// What the domain said. Durable, refusals included.
    pub verdict: Result<Outcome, Refusal>,
    /// The state that includes it.
    pub token: Token,
}

/// The metadata store, local or remote.
#[async_trait]
pub trait Meta: Send + Sync + 'static {
    /// Executes a command and returns once its effect is durable. Sent again
    /// under the same `id` it is applied once and answers the same verdict.
    async fn execute(&self, id: CommandId, command: Command) -> Result<Executed, Error>;

    /// Answers a query from a state that is at least as fresh as `at`, with
    /// that state's token.
    async fn query(&self, query: Query, at: ReadAt) -> Result<(Answer, Token), Error>;

    /// Hints about changes of `account`, from now on.
    fn watch(&self, account: AccountId) -> Changes;

    /// Whether no majority has answered for so long that none is expected soon:
    /// commands and [`ReadAt::Latest`] would only wait in vain. A change is hinted
    /// to all watchers.
    fn lacks_majority(&self) -> bool {
        false
    }

    /// Is ready once [`Self::lacks_majority`].
    async fn majority_lost(&self) {
        std::future::pending().await
    }
}

/// A command's type: names its outcome.
pub trait Act: Into<Command> + Send {
    /// What a success answers.
    type Outcome: Send;

    /// The outcome out of the sum; None if it belongs to another command.
    fn outcome(outcome: Outcome) -> Option<Self::Outcome>;
}

/// A query's type: names its answer.
pub trait Ask: Into<Query> + Send {
    /// What it answers.
    type Answer: Send;

    /// The answer out of the sum; None if it belongs to another query.
    fn answer(answer: Answer) -> Option<Self::Answer>;
}

/// Builds the sum type of requests and that of replies, and ties each request
/// to its reply.
macro_rules! sum {
    (
        $(#[$request_doc:meta])* $request:ident,
        $(#[$reply_doc:meta])* $reply:ident,
        $link:ident, $assoc:ident, $unwrap:ident;
        $($module:ident :: $variant:ident => $answer:ty,)*
    ) => {
        $(#[$request_doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        // By far the most commands are the largest: boxes would only be made and
        // opened.
        #[allow(missing_docs, clippy::large_enum_variant)]
        pub enum $request { $($variant($module::$variant),)* }

        $(#[$reply_doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[allow(missing_docs)]
        pub enum $reply { $($variant($answer),)* }

        impl $request {
            /// The name of the kind, for metrics and spans.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($variant),)* }
            }
        }

        $(
            impl From<$module::$variant> for $request {
                fn from(request: $module::$variant) -> Self { Self::$variant(request) }
            }
            impl $link for $module::$variant {
                type $assoc = $answer;
                fn $unwrap(reply: $reply) -> Option<$answer> {
                    match reply { $reply::$variant(inner) => Some(inner), _ => None }
                }
            }
        )*
    };
}

sum! {
    /// Any command.
    Command,
    /// What any command answers.
    Outcome,
    Act, Outcome, outcome;
    // Directory
    c::AddDomain => DomainId,
    c::SetDomain => (),
    c::RemoveDomain => (),
    c::AddAccount => AccountId,
    c::SetAccount => (),
    c::RemoveAccount => (),
    c::SetAlias => (),
    c::RemoveAlias => (),
    c::SetGroup => (),
    c::RemoveGroup => (),
    c::RemoveMember => bool,
    c::SetDefaultMailboxes => (),
    // Mailboxes
    c::CreateMailbox => MailboxId,
    c::RenameMailbox => (),
    c::DeleteMailbox => (),
    c::Subscribe => (),
    // Messages
    c::Accept => c::Accepted,
    c::Append => c::Appended,
    c::Store => c::Stored,
    c::Copy => c::Copied,
    c::Expunge => c::Expunged,
    c::ClaimRecent => Uid,
    // The queue of outbound mail
    c::LeaseQueued => c::Leased,
    c::RenewQueued => Vec<(QueueId, u64)>,
    c::FreeQueued => c::Freed,
    c::SettleQueued => c::Settlement,
    c::ChangeQueued => u32,
    c::PutPolicy => (),
    c::SetDkimKeys => (),
    c::RecordTls => (),
    c::SettleTls => Option<c::Accepted>,
    // Background work, each a bounded step
    c::Purge => c::Purged,
    c::Relocate => c::Relocated,
    c::ForgetObject => (),
    c::Trim => c::Trimmed,
    // The object store
    c::NameStore => (),
    // What all nodes share
    c::SetSecret => (),
    // The cluster
    c::FoundCluster => (),
    c::RefoundCluster => NodeId,
    c::IssueToken => (),
    c::AddNode => c::Admission,
    c::AnnounceNode => (),
    c::RemoveNode => (),
    c::RaiseVersion => (),
    c::TakeLeases => Vec<LeaseView>,
    c::ReleaseLeases => (),
}

sum! {
    /// Any query.
    Query,
    /// What any query answers.
    Answer,
    Ask, Answer, answer;
    // Directory
    q::Domain => Option<DomainView>,
    q::Domains => Page<DomainView>,
    q::Accounts => Page<AccountView>,
    q::Account => Option<AccountView>,
    q::Aliases => Page<AliasView>,
    q::Groups => Page<GroupView>,
    q::DefaultMailboxes => Vec<DefaultMailbox>,
    q::Login => Option<LoginView>,
    q::Resolve => q::Resolution,
    q::MaySendAs => bool,
    // Mailboxes
    q::Quota => QuotaView,
    q::Mailboxes => Page<MailboxView>,
    q::MailboxByName => Option<MailboxView>,
    q::Subscriptions => Vec<String>,
    // Messages
    q::Messages => q::MessagePage,
    q::ChangesSince => q::ChangePage,
    // The queue of outbound mail
    q::Queued => Vec<Option<QueuedView>>,
    q::Queue => Page<QueuedView>,
    q::QueueDestinations => Page<DestinationView>,
    q::QueueDestination => Option<DestinationView>,
    q::QueueNext => Option<Millis>,
    q::QueueStats => QueueStats,
    q::Trace => Vec<TraceView>,
    q::StsPolicy => Option<StsPolicy>,
    q::DkimKeys => Vec<DkimKey>,
    q::TlsResults => Page<TlsResults>,
    // Bodies
    q::Bodies => Vec<Option<BodyView>>,
    q::InlineBodies => Page<BodyView>,
    q::AllBodies => Page<BodyView>,
    q::Objects => Page<ObjectView>,
    q::Packs => Page<ObjectView>,
    q::PackContents => Page<BodyView>,
    q::DeadObjects => Page<ObjectView>,
    q::KnownObjects => Vec<bool>,
    q::InlineUsage => u64,
    q::Unfinished => q::Backlog,
    // The object store
    q::StoreId => Option<String>,
    // What all nodes share
    q::Secret => Option<Bytes>,
    // The cluster
    q::Cluster => Option<ClusterView>,
    q::ClusterVersion => Version,
    q::Authority => Option<Authority>,
    q::Nodes => Vec<NodeView>,
    q::MayJoin => bool,
    q::Leases => Vec<LeaseView>,
}

impl Command {
    /// Whether it is executed also where disks are nearly full: what takes away and
    /// marks for that, what makes room, and what keeps a cluster and its queue going.
    pub fn is_frugal(&self) -> bool {
        matches!(
            self,
            Self::RemoveDomain(_)
                | Self::RemoveAccount(_)
                | Self::RemoveAlias(_)
                | Self::RemoveGroup(_)
                | Self::RemoveMember(_)
                | Self::DeleteMailbox(_)
                | Self::Expunge(_)
                | Self::Store(_)
                | Self::LeaseQueued(_)
                | Self::RenewQueued(_)
                | Self::SettleQueued(_)
                | Self::ChangeQueued(_)
                | Self::SettleTls(_)
                | Self::Purge(_)
                | Self::Relocate(_)
                | Self::ForgetObject(_)
                | Self::Trim(_)
                | Self::IssueToken(_)
                | Self::AddNode(_)
                | Self::AnnounceNode(_)
                | Self::RemoveNode(_)
                | Self::TakeLeases(_)
                | Self::ReleaseLeases(_)
        )
    }
}
