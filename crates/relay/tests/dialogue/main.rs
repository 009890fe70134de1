//! Dialogues with scripted peers over loopback sockets: what the client says,
//! what it makes of the answers, and what it never sends.

// The helpers of tests are no test functions to clippy.
#![allow(clippy::unwrap_used)]

mod certificate;
mod content;
mod dane;
mod inquiry;
mod login;
mod opening;
mod peer;
mod race;
mod recipients;
mod tls;
