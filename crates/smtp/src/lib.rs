//! Mail coming in: SMTP from other servers, submission from users, LMTP from a
//! mail server in front.
//!
//! [`Server`] is a [`postrider_net::Service`]; one per [`Role`]. A session
//! parses nothing itself (`proto::smtp` does), asks `meta` who the recipients
//! are, streams the content into `body`, and delivers with one
//! [`postrider_meta::command::Accept`]. It answers 250 only after that command
//! has returned: nothing is held that matters. What goes to other servers is put
//! into the queue by the same command; sending it is not done here. Copies of mailing
//! lists get their fields here, whichever way they go.

mod envelope;
mod gateway;
mod header;
mod lookups;
mod outbound;
mod server;
mod session;
mod settings;
mod trace;
mod volume;

pub use gateway::RecipientCheck;
pub use outbound::Outbound;
pub use server::{Handles, Role, Server};
pub use settings::{Settings, SuccessNotices};
