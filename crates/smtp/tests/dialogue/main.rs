//! Dialogues with whole sessions over an in-memory metadata store: what a
//! client is told, and what then lies in the mailboxes.

// The helpers of tests are no test functions to clippy.
#![allow(clippy::unwrap_used)]

mod content;
mod cut;
mod limits;
mod lists;
mod lmtp;
mod loops;
mod recipients;
mod slow;
mod submission;
mod success;
mod tls;
mod world;
