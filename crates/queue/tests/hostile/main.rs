//! Destinations that keep us waiting, break off and lie: what they do to their own mail,
//! and not to that of others.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod hosts;
mod leases;
mod slow;
mod world;
