//! mailbench: a load generator for SMTP, LMTP, IMAP and POP3.
