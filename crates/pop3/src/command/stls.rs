//! STLS (RFC 2595 §4): TLS from here on.

use tracing::debug;

use crate::session::{Session, Step, Stop};

pub(crate) async fn run(session: &mut Session<'_>) -> Step {
    let Some(tls) = session
        .server
        .handles
        .tls
        .clone()
        .filter(|_| session.may_start_tls())
    else {
        return session.wrong("TLS is not offered, or in use already");
    };
    session.ok("begin TLS");
    session.flush().await?;
    // RFC 2595 §2.2: nothing that came in the clear counts afterwards.
    session.input.discard();
    session.user = None;
    if let Err(error) = session.connection.start_tls(&tls).await {
        debug!(%error, "a TLS handshake failed");
        return Err(Stop::Lost);
    }
    Ok(())
}
