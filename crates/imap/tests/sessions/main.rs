//! Sessions over an in-memory connection, with the memory backend and a folder
//! of bodies below: what a client sees. Each world checks the consistency of
//! its store at the end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod hostile;
mod login;
mod mailboxes;
mod messages;
mod searching;
mod sharing;
mod standing;
mod support;
