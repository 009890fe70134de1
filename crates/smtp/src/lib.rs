//! SMTP reception, submission and LMTP sessions.
