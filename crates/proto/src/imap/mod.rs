//! IMAP as bytes and types, server side: RFC 3501 with LITERAL+ (7888), IDLE
//! (2177), NAMESPACE (2342), MULTIAPPEND (3502), UIDPLUS (4315), SASL-IR (4959),
//! ENABLE (5161), LIST-EXTENDED (5258), LIST-STATUS (5819), SPECIAL-USE (6154),
//! ESEARCH (4731), MOVE (6851), CONDSTORE (7162), STATUS=SIZE (8438), QUOTA
//! (9208), ID (2971), UNSELECT (3691) and modified UTF-7.
//!
//! A session reads lines and literals from its connection, feeds them to a
//! [`CommandReader`] and gets typed [`Command`]s; it answers through a
//! [`Writer`]. Nothing here knows a connection, a mailbox or a login; whether a
//! command is allowed in the session's state is the session's to say.

mod append;
mod command;
mod date;
mod error;
mod fetch;
mod flag;
mod frame;
mod input;
mod list;
mod login;
mod mailbox;
pub mod mutf7;
pub mod response;
mod search;
mod sequence;
mod status;
mod store;

pub use append::{Append, AppendMessage};
pub use command::{Command, Tag, Tagged};
pub use date::{Date, DateTime};
pub use error::{CommandError, Problem};
pub use fetch::{BodySection, Fetch, FetchItem, Partial, Section, SectionText};
pub use frame::{CommandReader, Frame, Limits, is_done};
pub use list::{List, ListReturn, ListSelect, Lsub, Pattern};
pub use login::{Authenticate, Login};
pub use mailbox::{Copy, Create, Rename, Select, SetQuota, SpecialUse};
pub use response::Writer;
pub use search::{DateTest, Search, SearchKey, SearchReturn};
pub use sequence::{SequenceNumber, SequenceRange, SequenceSet};
pub use status::{Status, StatusItem};
pub use store::{Store, StoreMode};
