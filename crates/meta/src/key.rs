//! All keys in one place: which tables there are, and what lies under each key.
//! The functions stand in a file per family of rows; nothing else makes keys.
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
//! | `g V` | [`row::ClusterVersion`](crate::row::ClusterVersion): the version that all nodes obey |
//! | `g c` node id | [`row::Node`](crate::row::Node): kept for ever, so that a removed node stays refused |
//! | `g T` BLAKE3 of a secret | [`row::Token`](crate::row::Token): a join token |
//! | `g l` name | [`row::Lease`](crate::row::Lease) |
//! | `g h` object key | nothing: objects with something, but under half, live |
//! | `g q` account, mailbox or 0 | nothing: to be purged |
//! | `g w` moment, account, mailbox, MODSEQ | nothing: removals by their moment, for trimming |
//! | `g Q` queue id | [`row::Queued`](crate::row::Queued): a message on its way to one destination |
//! | `g k` destination, bulk, moment, queue id | nothing: when which entry may be leased; none for held ones and those in hand |
//! | `g e` destination | [`row::Destination`](crate::row::Destination): one that has entries |
//! | `g K` bulk, moment, destination | nothing: when the first of its entries, or of those in bulk, may be leased and it rests no longer |
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
use postrider_types::{AccountId, Address};

mod account;
mod body;
mod cluster;
mod directory;
mod outside;
mod queue;
mod work;

pub(crate) use account::*;
pub(crate) use body::*;
pub use cluster::is_upkeep;
pub(crate) use cluster::*;
pub(crate) use directory::*;
pub(crate) use outside::*;
pub(crate) use queue::*;
pub(crate) use work::*;

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
