//! The words that all other crates share: ids, addresses, flags, enhanced
//! status codes, clock and randomness. No I/O, no protocol syntax, no storage.

mod address;
mod clock;
mod flag;
mod host_port;
pub mod human;
mod id;
mod role;
mod status;
mod version;

pub use address::{Address, AddressError, DomainName};
pub use clock::{Clock, Millis, Random, SteadyClock, SystemClock};
pub use flag::{Flag, FlagError, Flags, Keyword};
pub use host_port::{Host, HostPort, HostPortError};
pub use id::{
    AccountId, BodyId, CommandId, DomainId, MailboxId, ModSeq, NodeId, QueueId, Uid, UidValidity,
};
pub use role::{Role, RoleError};
pub use status::EnhancedStatus;
pub use version::{Feature, Version, Versions};
