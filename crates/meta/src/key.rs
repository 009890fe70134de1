//! All keys in one place: which tables there are, and what lies under each key.
//!
//! Global tables begin with `g` and a tag, those of an account with `a`, the
//! account's id and a tag, so that an account is one contiguous range.
//!
//! | key | value |
//! |---|---|
//! | `g D` domain name | [`row::Domain`](crate::row::Domain) |
//! | `g d` domain id | counter: accounts of the domain |
//! | `g N` domain name, local part | [`row::Name`](crate::row::Name): which account, alias or group holds the address |
//! | `g A` domain name, local part | [`row::AccountName`](crate::row::AccountName): accounts alone, for listing |
//! | `g L` domain name, local part | [`row::Alias`](crate::row::Alias) |
//! | `g G` domain name, local part | [`row::Group`](crate::row::Group) |
//! | `g m` domain name, local part, member address | nothing: a group's member |
//! | `g f` | [`row::DefaultMailboxes`](crate::row::DefaultMailboxes) |
//! | `g n` what | [`row::Number`](crate::row::Number): the last id given out |
//! | `g b` body id | [`row::Body`](crate::row::Body) |
//! | `g s` body id | the message crate's summary, as it came |
//! | `g i` body id | stored bytes of an inline body, as they came |
//! | `g u` | counter: bytes that inline bodies occupy |
//! | `g o` object key | [`row::Object`](crate::row::Object) |
//! | `g p` object key, offset | [`row::Content`](crate::row::Content): a live body in the object |
//! | `g x` moment, object key | nothing: objects without a live body, by the moment they died |
//! | `g S` | [`row::StoreName`](crate::row::StoreName): the object store that belongs to the metadata |
//! | `g R` | [`row::Secret`](crate::row::Secret): what all nodes derive keys from |
//! | `g C` | [`row::Cluster`](crate::row::Cluster): the cluster, its authority, the last node id given out |
//! | `g c` node id | [`row::Node`](crate::row::Node): kept for ever, so that a removed node stays refused |
//! | `g T` BLAKE3 of a secret | [`row::Token`](crate::row::Token): a join token |
//! | `g l` name | [`row::Lease`](crate::row::Lease) |
//! | `g h` object key | nothing: objects with something, but under half, live |
//! | `g q` account, mailbox or 0 | nothing: to be purged |
//! | `g w` moment, account, mailbox, MODSEQ | nothing: removals by their moment, for trimming |
//! | `g Q` queue id | [`row::Queued`](crate::row::Queued): a message on its way to one destination |
//! | `g k` destination, moment, queue id | nothing: when which entry may be leased; none for held ones and those in hand |
//! | `g e` destination | [`row::Destination`](crate::row::Destination): one that has entries |
//! | `g K` moment, destination | nothing: when the first of its entries may be leased and it rests no longer |
//! | `g y` moment, queue id | nothing: when the sender is to hear of an entry; none for held ones |
//! | `g j` moment, queue id | nothing: when the lease of an entry ends; those in hand alone |
//! | `g B` | [`row::Starts`](crate::row::Starts): where the indexes of the queue by time begin |
//! | `g z` what | counter: entries of the queue, those held, destinations |
//! | `g H` body id, number | [`row::Event`](crate::row::Event): the history of a message |
//! | `g P` domain name | [`row::Policy`](crate::row::Policy): what an outside domain asks of mail to it |
//! | `g t` moment, domain name | nothing: policies by the moment they end |
//! | `g E` domain name | [`row::DkimKeys`](crate::row::DkimKeys): what a local domain signs with |
//! | `g r` day, domain name | [`row::TlsResults`](crate::row::TlsResults): the results of TLS to an outside domain |
//! | `g v` command id | version byte and MessagePack of the verdict (`evaluate.rs`) |
//! | `a` account `A` | [`row::Account`](crate::row::Account) |
//! | `a` account `C` | [`row::Credentials`](crate::row::Credentials) |
//! | `a` account `N` | [`row::Counters`](crate::row::Counters): use, and the last numbers given out |
//! | `a` account `n` name | [`row::MailboxName`](crate::row::MailboxName) |
//! | `a` account `b` mailbox | [`row::Mailbox`](crate::row::Mailbox) |
//! | `a` account `s` name | nothing: subscribed |
//! | `a` account `m` mailbox, UID | [`row::Message`](crate::row::Message) |
//! | `a` account `c` mailbox, MODSEQ | [`row::Changed`](crate::row::Changed): the message whose MODSEQ it is |
//! | `a` account `v` mailbox, MODSEQ | [`row::Vanished`](crate::row::Vanished): UIDs that were removed |
//! | `a` account `d` mailbox, UID | nothing: the message has `\Deleted` |
//!
//! A counter is 8 bytes, little endian, changed by [`postrider_kv::Txn::add`].
//! "Nothing" is [`crate::row::EMPTY`].

use postrider_kv::key::{Key, Parts};
use postrider_types::{
    AccountId, Address, BodyId, CommandId, DomainId, DomainName, MailboxId, Millis, ModSeq, NodeId,
    QueueId, Uid,
};

fn global(tag: u8) -> Key {
    Key::with_capacity(64).u8(b'g').u8(tag)
}

fn of_account(account: AccountId, tag: u8) -> Key {
    Key::with_capacity(32).u8(b'a').u64(account.0).u8(tag)
}

fn address_key(tag: u8, address: &Address) -> Key {
    global(tag)
        .str(address.domain().as_str())
        .str(address.local())
}

/// The account that a key belongs to; None for global ones.
pub(crate) fn account_of(key: &[u8]) -> Option<AccountId> {
    let mut parts = Parts::of(key);
    (parts.u8()? == b'a')
        .then(|| parts.u64().map(AccountId))
        .flatten()
}

// Directory.

pub(crate) fn domains() -> Vec<u8> {
    global(b'D').build()
}

pub(crate) fn domain(name: &DomainName) -> Vec<u8> {
    global(b'D').str(name.as_str()).build()
}

/// The name in a key of [`domain`], [`policy`] or [`dkim_keys`].
pub(crate) fn domain_of(key: &[u8]) -> Option<DomainName> {
    DomainName::parse(&Parts::of(key.get(2..)?).str()?).ok()
}

/// Counter: the domain's accounts.
pub(crate) fn domain_accounts(id: DomainId) -> Vec<u8> {
    global(b'd').u64(id.0).build()
}

/// All addresses.
pub(crate) fn names() -> Vec<u8> {
    global(b'N').build()
}

/// All addresses of a domain.
pub(crate) fn names_of(domain: &DomainName) -> Vec<u8> {
    global(b'N').str(domain.as_str()).build()
}

pub(crate) fn name(address: &Address) -> Vec<u8> {
    address_key(b'N', address).build()
}

/// All accounts by address.
pub(crate) fn account_names() -> Vec<u8> {
    global(b'A').build()
}

/// A domain's accounts by address.
pub(crate) fn account_names_of(domain: &DomainName) -> Vec<u8> {
    global(b'A').str(domain.as_str()).build()
}

pub(crate) fn account_name(address: &Address) -> Vec<u8> {
    address_key(b'A', address).build()
}

pub(crate) fn aliases() -> Vec<u8> {
    global(b'L').build()
}

pub(crate) fn alias(address: &Address) -> Vec<u8> {
    address_key(b'L', address).build()
}

pub(crate) fn groups() -> Vec<u8> {
    global(b'G').build()
}

pub(crate) fn group(address: &Address) -> Vec<u8> {
    address_key(b'G', address).build()
}

/// All members of all groups.
pub(crate) fn all_group_members() -> Vec<u8> {
    global(b'm').build()
}

/// All members of a group.
pub(crate) fn group_members(group: &Address) -> Vec<u8> {
    address_key(b'm', group).build()
}

pub(crate) fn group_member(group: &Address, member: &Address) -> Vec<u8> {
    address_key(b'm', group).str(&member.to_string()).build()
}

/// All members of a group whose addresses begin with `start`.
pub(crate) fn group_members_from(group: &Address, start: &str) -> Vec<u8> {
    address_key(b'm', group).str_prefix(start).build()
}

/// The member in a key of [`group_members`].
pub(crate) fn member_of(key: &[u8]) -> Option<String> {
    let mut parts = Parts::of(key.get(2..)?);
    parts.str()?;
    parts.str()?;
    parts.str()
}

/// The address in a key of a table by domain name and local part.
pub(crate) fn address_of(key: &[u8]) -> Option<Address> {
    let mut parts = Parts::of(key.get(2..)?);
    let domain = DomainName::parse(&parts.str()?).ok()?;
    Address::new(&parts.str()?, domain).ok()
}

pub(crate) fn default_mailboxes() -> Vec<u8> {
    global(b'f').build()
}

/// The last [`DomainId`] given out.
pub(crate) fn last_domain() -> Vec<u8> {
    global(b'n').u8(b'd').build()
}

/// The last [`AccountId`] given out.
pub(crate) fn last_account() -> Vec<u8> {
    global(b'n').u8(b'a').build()
}

// Bodies and objects.

pub(crate) fn bodies() -> Vec<u8> {
    global(b'b').build()
}

pub(crate) fn body(id: BodyId) -> Vec<u8> {
    global(b'b').id(id.as_bytes()).build()
}

pub(crate) fn summaries() -> Vec<u8> {
    global(b's').build()
}

pub(crate) fn summary(id: BodyId) -> Vec<u8> {
    global(b's').id(id.as_bytes()).build()
}

pub(crate) fn inlines() -> Vec<u8> {
    global(b'i').build()
}

pub(crate) fn inline(id: BodyId) -> Vec<u8> {
    global(b'i').id(id.as_bytes()).build()
}

/// The id in a key of [`body`], [`summary`] or [`inline`].
pub(crate) fn body_of(key: &[u8]) -> Option<BodyId> {
    Parts::of(key.get(2..)?).id().map(BodyId::from_bytes)
}

/// Counter: bytes of inline bodies.
pub(crate) fn inline_usage() -> Vec<u8> {
    global(b'u').build()
}

pub(crate) fn objects() -> Vec<u8> {
    global(b'o').build()
}

pub(crate) fn object(key: &str) -> Vec<u8> {
    global(b'o').str(key).build()
}

/// The object's key in a key of [`object`], [`content`] or [`half_empty`].
pub(crate) fn object_of(key: &[u8]) -> Option<String> {
    Parts::of(key.get(2..)?).str()
}

pub(crate) fn all_contents() -> Vec<u8> {
    global(b'p').build()
}

/// All live bodies of an object.
pub(crate) fn contents(object: &str) -> Vec<u8> {
    global(b'p').str(object).build()
}

pub(crate) fn content(object: &str, offset: u64) -> Vec<u8> {
    global(b'p').str(object).u64(offset).build()
}

pub(crate) fn dead_objects() -> Vec<u8> {
    global(b'x').build()
}

/// The end (excluded) of the objects that died before `moment`.
pub(crate) fn dead_before(moment: Millis) -> Vec<u8> {
    global(b'x').u64(moment.0).build()
}

pub(crate) fn dead_object(since: Millis, object: &str) -> Vec<u8> {
    global(b'x').u64(since.0).str(object).build()
}

/// The moment and the object's key in a key of [`dead_object`].
pub(crate) fn dead_object_of(key: &[u8]) -> Option<(Millis, String)> {
    let mut parts = Parts::of(key.get(2..)?);
    Some((Millis(parts.u64()?), parts.str()?))
}

pub(crate) fn half_empties() -> Vec<u8> {
    global(b'h').build()
}

pub(crate) fn half_empty(object: &str) -> Vec<u8> {
    global(b'h').str(object).build()
}

/// The id of the object store.
pub(crate) fn store_name() -> Vec<u8> {
    global(b'S').build()
}

/// The secret of all nodes.
pub(crate) fn secret() -> Vec<u8> {
    global(b'R').build()
}

// The cluster.

pub(crate) fn cluster() -> Vec<u8> {
    global(b'C').build()
}

/// All nodes by id, removed ones too.
pub(crate) fn nodes() -> Vec<u8> {
    global(b'c').build()
}

pub(crate) fn node(id: NodeId) -> Vec<u8> {
    global(b'c').u64(id.0).build()
}

/// The id in a key of [`node`].
pub(crate) fn node_of(key: &[u8]) -> Option<NodeId> {
    Parts::of(key.get(2..)?).u64().map(NodeId)
}

/// All join tokens.
pub(crate) fn tokens() -> Vec<u8> {
    global(b'T').build()
}

pub(crate) fn token(hash: &[u8; 32]) -> Vec<u8> {
    let (halves, _) = hash.as_chunks::<16>();
    let key = halves.iter().fold(global(b'T'), |key, half| key.id(half));
    key.build()
}

/// All leases by name.
pub(crate) fn leases() -> Vec<u8> {
    global(b'l').build()
}

pub(crate) fn lease(name: &str) -> Vec<u8> {
    global(b'l').str(name).build()
}

/// The name in a key of [`lease`].
pub(crate) fn lease_of(key: &[u8]) -> Option<String> {
    Parts::of(key.get(2..)?).str()
}

// The queue.

/// The last [`QueueId`] given out.
pub(crate) fn last_queued() -> Vec<u8> {
    global(b'n').u8(b'q').build()
}

/// All entries, the oldest first.
pub(crate) fn queue() -> Vec<u8> {
    global(b'Q').build()
}

pub(crate) fn queued(id: QueueId) -> Vec<u8> {
    global(b'Q').u64(id.0).build()
}

/// The id in a key of [`queued`], [`ready`], [`alarm`] or [`lease_end`].
pub(crate) fn queued_of(key: &[u8]) -> Option<QueueId> {
    let (_, id) = key.get(2..)?.split_last_chunk::<8>()?;
    Some(QueueId(u64::from_be_bytes(*id)))
}

/// All entries that may be leased some time.
pub(crate) fn all_ready() -> Vec<u8> {
    global(b'k').build()
}

/// Those of a destination that may be leased from `moment` on.
pub(crate) fn ready_from(destination: &str, moment: Millis) -> Vec<u8> {
    global(b'k').str(destination).u64(moment.0).build()
}

/// The end (excluded) of all those of a destination.
pub(crate) fn ready_end(destination: &str) -> Vec<u8> {
    postrider_kv::key::successor(&global(b'k').str(destination).build())
}

/// The end (excluded) of those of a destination that may be leased up to `moment`.
pub(crate) fn ready_after(destination: &str, moment: Millis) -> Vec<u8> {
    let next = moment.0.saturating_add(1);
    global(b'k').str(destination).u64(next).build()
}

/// The entry may be leased from `moment` on.
pub(crate) fn ready(destination: &str, moment: Millis, id: QueueId) -> Vec<u8> {
    let key = global(b'k').str(destination);
    key.u64(moment.0).u64(id.0).build()
}

/// The moment in a key of [`ready`].
pub(crate) fn ready_of(key: &[u8]) -> Option<Millis> {
    let mut parts = Parts::of(key.get(2..)?);
    parts.str()?;
    parts.u64().map(Millis)
}

/// All destinations that have entries.
pub(crate) fn destinations() -> Vec<u8> {
    global(b'e').build()
}

pub(crate) fn destination(name: &str) -> Vec<u8> {
    global(b'e').str(name).build()
}

/// The name in a key of [`destination`].
pub(crate) fn destination_of(key: &[u8]) -> Option<String> {
    Parts::of(key.get(2..)?).str()
}

/// All destinations with something to lease some time, the first first.
pub(crate) fn turns() -> Vec<u8> {
    global(b'K').build()
}

/// Those from `moment` on.
pub(crate) fn turns_from(moment: Millis) -> Vec<u8> {
    global(b'K').u64(moment.0).build()
}

/// Something may be leased for the destination from `moment` on.
pub(crate) fn turn(moment: Millis, destination: &str) -> Vec<u8> {
    global(b'K').u64(moment.0).str(destination).build()
}

/// The moment and the destination in a key of [`turn`].
pub(crate) fn turn_of(key: &[u8]) -> Option<(Millis, String)> {
    let mut parts = Parts::of(key.get(2..)?);
    Some((Millis(parts.u64()?), parts.str()?))
}

/// All entries whose sender is to hear something some time, the first first.
pub(crate) fn alarms() -> Vec<u8> {
    global(b'y').build()
}

/// Those from `moment` on.
pub(crate) fn alarms_from(moment: Millis) -> Vec<u8> {
    global(b'y').u64(moment.0).build()
}

/// The end (excluded) of those whose sender is to hear something up to `moment`.
pub(crate) fn alarms_after(moment: Millis) -> Vec<u8> {
    global(b'y').u64(moment.0.saturating_add(1)).build()
}

pub(crate) fn alarm(moment: Millis, id: QueueId) -> Vec<u8> {
    global(b'y').u64(moment.0).u64(id.0).build()
}

/// All leases of entries, the first to end first.
pub(crate) fn lease_ends() -> Vec<u8> {
    global(b'j').build()
}

/// Those that end from `moment` on.
pub(crate) fn lease_ends_from(moment: Millis) -> Vec<u8> {
    global(b'j').u64(moment.0).build()
}

/// The end (excluded) of those that have ended at `moment`.
pub(crate) fn lease_ends_after(moment: Millis) -> Vec<u8> {
    global(b'j').u64(moment.0.saturating_add(1)).build()
}

pub(crate) fn lease_end(moment: Millis, id: QueueId) -> Vec<u8> {
    global(b'j').u64(moment.0).u64(id.0).build()
}

/// Where the indexes of the queue by time begin.
pub(crate) fn queue_starts() -> Vec<u8> {
    global(b'B').build()
}

/// The moment in a key of [`alarm`] or [`lease_end`].
pub(crate) fn alarm_of(key: &[u8]) -> Option<Millis> {
    Parts::of(key.get(2..)?).u64().map(Millis)
}

/// What is counted of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueCount {
    /// Entries, held ones included.
    Entries,
    /// Entries that are held.
    Held,
    /// Destinations with entries.
    Destinations,
}

/// Counter: so much of the queue.
pub(crate) fn queue_count(what: QueueCount) -> Vec<u8> {
    let tag = match what {
        QueueCount::Entries => b'e',
        QueueCount::Held => b'h',
        QueueCount::Destinations => b'd',
    };
    global(b'z').u8(tag).build()
}

/// The history of all messages, the oldest first.
pub(crate) fn history() -> Vec<u8> {
    global(b'H').build()
}

/// The history of a message; of another message's, the end (excluded) of those
/// that arrived before it.
pub(crate) fn history_of(body: BodyId) -> Vec<u8> {
    global(b'H').id(body.as_bytes()).build()
}

pub(crate) fn event(body: BodyId, number: u32) -> Vec<u8> {
    global(b'H').id(body.as_bytes()).u32(number).build()
}

/// The body and the number in a key of [`event`].
pub(crate) fn event_of(key: &[u8]) -> Option<(BodyId, u32)> {
    let mut parts = Parts::of(key.get(2..)?);
    Some((BodyId::from_bytes(parts.id()?), parts.u32()?))
}

pub(crate) fn policies() -> Vec<u8> {
    global(b'P').build()
}

pub(crate) fn policy(domain: &DomainName) -> Vec<u8> {
    global(b'P').str(domain.as_str()).build()
}

/// All policies, the first to end first.
pub(crate) fn policy_ends() -> Vec<u8> {
    global(b't').build()
}

/// The end (excluded) of the policies that end up to `moment`.
pub(crate) fn policies_after(moment: Millis) -> Vec<u8> {
    global(b't').u64(moment.0.saturating_add(1)).build()
}

pub(crate) fn policy_end(expires: u64, domain: &DomainName) -> Vec<u8> {
    global(b't').u64(expires).str(domain.as_str()).build()
}

/// The domain in a key of [`policy_end`].
pub(crate) fn policy_end_of(key: &[u8]) -> Option<DomainName> {
    let mut parts = Parts::of(key.get(2..)?);
    parts.u64()?;
    DomainName::parse(&parts.str()?).ok()
}

/// The keys of all domains that sign.
pub(crate) fn all_dkim_keys() -> Vec<u8> {
    global(b'E').build()
}

pub(crate) fn dkim_keys(domain: &DomainName) -> Vec<u8> {
    global(b'E').str(domain.as_str()).build()
}

/// The results of outgoing TLS, the oldest day first.
pub(crate) fn all_tls_results() -> Vec<u8> {
    global(b'r').build()
}

/// Where the results of `day` and of later days begin.
pub(crate) fn tls_results_from(day: u32) -> Vec<u8> {
    global(b'r').u32(day).build()
}

pub(crate) fn tls_results(day: u32, domain: &DomainName) -> Vec<u8> {
    global(b'r').u32(day).str(domain.as_str()).build()
}

/// The day and the domain in a key of [`tls_results`].
pub(crate) fn tls_results_of(key: &[u8]) -> Option<(u32, DomainName)> {
    let mut parts = Parts::of(key.get(2..)?);
    Some((parts.u32()?, DomainName::parse(&parts.str()?).ok()?))
}

// Background work.

pub(crate) fn purges() -> Vec<u8> {
    global(b'q').build()
}

/// All purges of an account.
pub(crate) fn purges_of(account: AccountId) -> Vec<u8> {
    global(b'q').u64(account.0).build()
}

/// The whole account is to be purged; sorts before its mailboxes.
pub(crate) fn purge_account(account: AccountId) -> Vec<u8> {
    global(b'q').u64(account.0).u64(0).build()
}

pub(crate) fn purge_mailbox(account: AccountId, mailbox: MailboxId) -> Vec<u8> {
    global(b'q').u64(account.0).u64(mailbox.0).build()
}

/// What a key of [`purges`] wants purged; None for the mailbox: the account.
pub(crate) fn purge_of(key: &[u8]) -> Option<(AccountId, Option<MailboxId>)> {
    let mut parts = Parts::of(key.get(2..)?);
    let account = AccountId(parts.u64()?);
    let mailbox = parts.u64()?;
    Some((account, (mailbox != 0).then_some(MailboxId(mailbox))))
}

pub(crate) fn vanished_times() -> Vec<u8> {
    global(b'w').build()
}

/// The end (excluded) of the removals before `moment`.
pub(crate) fn vanished_before(moment: Millis) -> Vec<u8> {
    global(b'w').u64(moment.0).build()
}

pub(crate) fn vanished_time(
    at: Millis,
    account: AccountId,
    mailbox: MailboxId,
    mod_seq: ModSeq,
) -> Vec<u8> {
    let key = global(b'w').u64(at.0).u64(account.0);
    key.u64(mailbox.0).u64(mod_seq.0).build()
}

/// What a key of [`vanished_time`] stands for.
pub(crate) fn vanished_time_of(key: &[u8]) -> Option<(Millis, AccountId, MailboxId, ModSeq)> {
    let mut parts = Parts::of(key.get(2..)?);
    Some((
        Millis(parts.u64()?),
        AccountId(parts.u64()?),
        MailboxId(parts.u64()?),
        ModSeq(parts.u64()?),
    ))
}

pub(crate) fn verdicts() -> Vec<u8> {
    global(b'v').build()
}

/// The verdict of a command that was evaluated: its dedup row.
pub(crate) fn verdict(id: CommandId) -> Vec<u8> {
    global(b'v').id(id.as_bytes()).build()
}

// Accounts.

/// Everything of all accounts.
pub(crate) fn accounts() -> Vec<u8> {
    Key::default().u8(b'a').build()
}

/// Everything of an account.
pub(crate) fn all_of(account: AccountId) -> Vec<u8> {
    Key::default().u8(b'a').u64(account.0).build()
}

pub(crate) fn account(account: AccountId) -> Vec<u8> {
    of_account(account, b'A').build()
}

pub(crate) fn credentials(account: AccountId) -> Vec<u8> {
    of_account(account, b'C').build()
}

pub(crate) fn counters(account: AccountId) -> Vec<u8> {
    of_account(account, b'N').build()
}

pub(crate) fn mailbox_names(account: AccountId) -> Vec<u8> {
    of_account(account, b'n').build()
}

pub(crate) fn mailbox_name(account: AccountId, name: &str) -> Vec<u8> {
    of_account(account, b'n').str(name).build()
}

/// All mailboxes whose names begin with `start`.
pub(crate) fn mailbox_names_from(account: AccountId, start: &str) -> Vec<u8> {
    of_account(account, b'n').str_prefix(start).build()
}

/// The name in a key of [`mailbox_name`] or [`subscription`].
pub(crate) fn mailbox_name_of(key: &[u8]) -> Option<String> {
    Parts::of(key.get(10..)?).str()
}

pub(crate) fn mailboxes(account: AccountId) -> Vec<u8> {
    of_account(account, b'b').build()
}

pub(crate) fn mailbox(account: AccountId, mailbox: MailboxId) -> Vec<u8> {
    of_account(account, b'b').u64(mailbox.0).build()
}

pub(crate) fn subscriptions(account: AccountId) -> Vec<u8> {
    of_account(account, b's').build()
}

pub(crate) fn subscription(account: AccountId, name: &str) -> Vec<u8> {
    of_account(account, b's').str(name).build()
}

/// All messages of an account.
pub(crate) fn all_messages(account: AccountId) -> Vec<u8> {
    of_account(account, b'm').build()
}

/// All messages of a mailbox.
pub(crate) fn messages(account: AccountId, mailbox: MailboxId) -> Vec<u8> {
    of_account(account, b'm').u64(mailbox.0).build()
}

pub(crate) fn message(account: AccountId, mailbox: MailboxId, uid: Uid) -> Vec<u8> {
    of_account(account, b'm').u64(mailbox.0).u32(uid.0).build()
}

/// The UID in a key of [`message`] or [`deleted`].
pub(crate) fn uid_of(key: &[u8]) -> Option<Uid> {
    let (_, uid) = key.split_last_chunk::<4>()?;
    Some(Uid(u32::from_be_bytes(*uid)))
}

/// The mailbox in a key of a table by account and mailbox.
pub(crate) fn mailbox_of(key: &[u8]) -> Option<MailboxId> {
    Parts::of(key.get(10..)?).u64().map(MailboxId)
}

/// All live changes of an account.
pub(crate) fn all_changes(account: AccountId) -> Vec<u8> {
    of_account(account, b'c').build()
}

/// All live changes of a mailbox.
pub(crate) fn changes(account: AccountId, mailbox: MailboxId) -> Vec<u8> {
    of_account(account, b'c').u64(mailbox.0).build()
}

pub(crate) fn changed(account: AccountId, mailbox: MailboxId, mod_seq: ModSeq) -> Vec<u8> {
    let key = of_account(account, b'c').u64(mailbox.0);
    key.u64(mod_seq.0).build()
}

/// All removals of an account.
pub(crate) fn all_vanished(account: AccountId) -> Vec<u8> {
    of_account(account, b'v').build()
}

/// All removals of a mailbox.
pub(crate) fn vanished_of(account: AccountId, mailbox: MailboxId) -> Vec<u8> {
    of_account(account, b'v').u64(mailbox.0).build()
}

pub(crate) fn vanished(account: AccountId, mailbox: MailboxId, mod_seq: ModSeq) -> Vec<u8> {
    let key = of_account(account, b'v').u64(mailbox.0);
    key.u64(mod_seq.0).build()
}

/// The MODSEQ in a key of [`changed`] or [`vanished`].
pub(crate) fn mod_seq_of(key: &[u8]) -> Option<ModSeq> {
    let (_, mod_seq) = key.split_last_chunk::<8>()?;
    Some(ModSeq(u64::from_be_bytes(*mod_seq)))
}

/// All messages of an account with `\Deleted`.
pub(crate) fn all_marks(account: AccountId) -> Vec<u8> {
    of_account(account, b'd').build()
}

/// All messages of a mailbox with `\Deleted`.
pub(crate) fn all_deleted(account: AccountId, mailbox: MailboxId) -> Vec<u8> {
    of_account(account, b'd').u64(mailbox.0).build()
}

/// The message has `\Deleted`.
pub(crate) fn deleted(account: AccountId, mailbox: MailboxId, uid: Uid) -> Vec<u8> {
    of_account(account, b'd').u64(mailbox.0).u32(uid.0).build()
}
