//! POP3 sessions: one file per command.
