//! ENABLE (RFC 5161).

use crate::error::{Fail, Reply};
use crate::session::Session;

pub(super) fn run(session: &mut Session, names: &[String]) -> Result<Reply, Fail> {
    // RFC 5161 §3.1: what is unknown is ignored.
    let condstore = names.iter().any(|name| name == "CONDSTORE");
    if condstore {
        session.condstore = true;
    }
    session
        .out
        .enabled(if condstore { &["CONDSTORE"] } else { &[] });
    Ok(Reply::ok("ENABLE completed"))
}
