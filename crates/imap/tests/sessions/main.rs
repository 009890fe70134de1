//! Sessions over an in-memory connection, with the memory backend and a folder
//! of bodies below: what a client sees. Each world checks the consistency of
//! its store at the end.

mod hostile;
mod login;
mod mailboxes;
mod messages;
mod searching;
mod sharing;
mod support;
