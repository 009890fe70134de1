//! The bounds of the product. Each keeps one command or one account from
//! growing without end; the texts of refusals name them.

use std::time::Duration;

/// Mailboxes of an account.
pub const MAILBOXES: u32 = 10_000;
/// Subscribed names of an account.
pub const SUBSCRIPTIONS: u32 = 10_000;
/// Characters of a mailbox's full name.
pub const NAME_CHARS: usize = 255;
/// Levels of a mailbox's name.
pub const NAME_LEVELS: usize = 20;
/// Inferiors that move with a renamed mailbox.
pub const INFERIORS: usize = 1_000;
/// Messages that a rename of INBOX moves: at once, so that nobody sees it half done.
pub const INBOX_RENAME: u32 = 1_000;
/// Messages of one [`crate::command::Store`] or [`crate::command::Copy`].
pub const MESSAGES: usize = 1_000;
/// Messages of one [`crate::command::Expunge`].
pub const EXPUNGE: u32 = 20_000;
/// Ranges in the UIDs of one command.
pub const UID_RANGES: usize = 20_000;
/// Messages of one [`crate::command::Append`].
pub const APPEND: usize = 100;
/// Deliveries of one [`crate::command::Accept`].
pub const DELIVERIES: usize = 10_000;
/// Bytes of a message's prefix.
pub const PREFIX: usize = 8 * 1024;
/// Messages of one step of [`crate::command::Purge`].
pub const PURGE: u32 = 1_000;
/// Bodies of one [`crate::command::Relocate`].
pub const MOVES: usize = 10_000;
/// Rows of each kind that one step of [`crate::command::Trim`] removes.
pub const TRIM: usize = 1_000;
/// How long a command's verdict is remembered. Nobody may repeat a command
/// later than this: it would be applied again.
pub const VERDICTS: Duration = Duration::from_secs(600);
/// How far the moment in a command's id may lie from the moment of evaluation:
/// the longest that it may be repeated (half of [`VERDICTS`]) and some difference
/// between two clocks. Its verdict is never forgotten before.
pub const COMMAND_AGE: Duration = Duration::from_secs(540);
/// Removal entries that a mailbox's change log keeps.
pub const LOG_ENTRIES: u32 = 10_000;
/// How long the change log keeps a removal.
pub const LOG_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long after a body began to arrive an object may still be committed with
/// it. The sweep removes unknown objects only long after that.
pub const UPLOAD_AGE: Duration = Duration::from_secs(6 * 3600);
/// Nodes of a cluster that are not removed.
pub const NODES: usize = 1_000;
/// Bytes of a node's name, address or version.
pub const NODE_TEXT: usize = 255;
/// Join tokens that wait to be used.
pub const TOKENS: usize = 100;
/// How long a join token may be good.
pub const TOKEN_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often a join token may be used.
pub const TOKEN_USES: u32 = 1_000;
/// Leases at a time.
pub const LEASES: usize = 100;
/// Bytes of a lease's name.
pub const LEASE_NAME: usize = 64;
/// The longest lease. For so long work may wait whose lease a clock has given that was
/// ahead.
pub const LEASE_TTL: Duration = Duration::from_secs(120);
/// Entries of the queue that one [`crate::command::Accept`] makes: those that leave
/// a mailing list by a link of their own have each their own.
pub const DESTINATIONS: usize = OUTSIDE;
/// Recipients of an entry of the queue.
pub const QUEUED_RECIPIENTS: usize = 100;
/// Recipients outside of one [`crate::command::Accept`].
pub const OUTSIDE: usize = 10_000;
/// Bytes of a destination's name.
pub const DESTINATION_NAME: usize = 255;
/// Bytes of an address in the queue: longer than any that SMTP has to take
/// (RFC 5321 §4.5.3.1.3).
pub const QUEUED_ADDRESS: usize = 512;
/// Bytes of the name that a client gives itself (RFC 5321 §4.5.3.1.2).
pub const CLIENT_NAME: usize = 255;
/// Bytes of the address type of ORCPT.
pub const ORIGINAL_KIND: usize = 64;
/// Bytes of the address of ORCPT (RFC 3461 §4.2: 500 characters, encoded).
pub const ORIGINAL: usize = 1_000;
/// Bytes of ENVID (RFC 3461 §4.4: 100 characters, encoded).
pub const ENVELOPE_ID: usize = 500;
/// Bytes of a reply or an error that is kept; what is longer is cut.
pub const REPLY: usize = 1024;
/// Entries of one [`crate::command::LeaseQueued`] and one
/// [`crate::query::Queued`].
pub const LEASED: usize = 100;
/// Recipients of a message that leave as those of a message for few do; the others are
/// in bulk, and wait behind other messages.
pub const FEW: usize = 100;
/// Entries that one [`crate::command::FreeQueued`] looks at.
pub const FREED: usize = 1_000;
/// Destinations that one [`crate::command::LeaseQueued`] leaves out.
pub const BUSY: usize = 1_000;
/// Leases of one [`crate::command::RenewQueued`].
pub const RENEWED: usize = 1_000;
/// Notices of one [`crate::command::SettleQueued`] or [`crate::command::Accept`].
pub const NOTICES: usize = 10;
/// Events of one [`crate::command::SettleQueued`].
pub const EVENTS: usize = 200;
/// Entries of one [`crate::command::ChangeQueued`].
pub const CHANGED: usize = 1_000;
/// Recipients that the history of a message names of its acceptance.
pub const NAMED: usize = 100;
/// Bytes of the texts that tell where a message came from.
pub const ORIGIN: usize = 255;
/// Lines of a message's history that are kept and told.
pub const TRACE: usize = 10_000;
/// How long the history of a message is kept.
pub const HISTORY_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Bytes of the id of a domain's TLS policy (RFC 8461 §3.1: 32 characters).
pub const POLICY_ID: usize = 64;
/// Bytes of the text of a domain's TLS policy.
pub const POLICY_TEXT: usize = 64 * 1024;
/// Keys of a domain.
pub const DKIM_KEYS: usize = 10;
/// Bytes of a key's selector.
pub const DKIM_SELECTOR: usize = 63;
/// Bytes of a private key, PKCS#8.
pub const DKIM_PRIVATE: usize = 16 * 1024;
/// Bytes of a public key.
pub const DKIM_PUBLIC: usize = 4 * 1024;
/// Results of one [`crate::command::RecordTls`].
pub const TLS_RECORDS: usize = 200;
/// Policies that are told apart in the TLS results of a domain's day.
pub const TLS_POLICIES: usize = 8;
/// Failures that are kept with details in the TLS results of a domain's day.
pub const TLS_DETAILS: usize = 100;
/// Lines and hosts of a policy in TLS results.
pub const TLS_STRINGS: usize = 32;
/// Bytes of a line of a policy in TLS results.
pub const TLS_STRING: usize = 512;
/// Bytes of the name of a host or of a reason in TLS results.
pub const TLS_TEXT: usize = 255;
/// Places that have the report about a domain's day.
pub const TLS_PLACES: usize = 10;
/// Bytes of the address of such a place.
pub const TLS_PLACE: usize = 2048;
/// How long TLS results are kept that nobody reports.
pub const TLS_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
