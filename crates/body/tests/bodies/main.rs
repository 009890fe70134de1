//! Bodies over the memory metadata store and an object store that fails when told
//! to: what is taken in can be read, whatever is moved, swept, broken or away.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

#[path = "../../../blob/tests/support/faults.rs"]
mod faults;

mod damage;
mod intake;
mod ownership;
mod packing;
mod reading;
mod support;
mod sweeping;
mod verifying;
