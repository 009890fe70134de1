//! CAPA (RFC 2449): what may be used in the state at hand.

use crate::session::{Session, Step};

pub(crate) fn run(session: &mut Session<'_>) -> Step {
    session.ok("capabilities");
    let mut lines = vec![
        "TOP",
        "UIDL",
        "RESP-CODES",
        "AUTH-RESP-CODE",
        "PIPELINING",
        "EXPIRE NEVER",
        "IMPLEMENTATION Postrider",
    ];
    if session.may_start_tls() {
        lines.push("STLS");
    }
    if session.may_log_in() {
        lines.extend(["USER", "SASL PLAIN"]);
    }
    for line in lines {
        session.out.extend_from_slice(line.as_bytes());
        session.out.extend_from_slice(b"\r\n");
    }
    session.out.extend_from_slice(b".\r\n");
    Ok(())
}
