//! Sans-I/O wire formats: bytes to typed commands and back, for SMTP, IMAP,
//! POP3 and SASL. Knows no socket, no session and no storage; every input is
//! bounded and no input panics.

pub mod imap;
pub mod pop3;
pub mod sasl;
pub mod smtp;
