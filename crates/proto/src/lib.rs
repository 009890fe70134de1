//! Sans-I/O wire formats: SMTP, IMAP, POP3 and SASL as typed commands and replies.
