//! The new node's side of joining. It has no certificate yet; it knows the
//! cluster by the public key in its token, and shows the token's secret to a
//! server of that cluster alone.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use postrider_types::Versions;
use tonic::transport::{ClientTlsConfig, Endpoint};

use crate::authority::{NODE_NAME, is_of, trust_anchor};
use crate::failure::Failure;
use crate::guard::agent;
use crate::proto::join_client::JoinClient;
use crate::proto::{JoinReply, JoinRequest};
use crate::token::Token;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take: it waits for a leader and a commit.
const ANSWER: Duration = Duration::from_secs(30);

/// Joins the cluster of `token`: asks at each of its addresses until one
/// answers. The request's secret and versions are filled in here. Its command id stays the
/// same, so that nodes that were asked one after another add it once.
///
/// [`Failure::Failed`] and [`Failure::Unsupported`] are final.
pub async fn join(
    token: &Token,
    versions: Versions,
    request: JoinRequest,
) -> Result<JoinReply, Failure> {
    let request = JoinRequest {
        secret: Bytes::copy_from_slice(&token.secret),
        oldest: versions.oldest.0,
        newest: versions.newest.0,
        ..request
    };
    if token.addresses.is_empty() {
        let text = "the join token has no address: make another one";
        return Err(Failure::Failed(text.into()));
    }
    let mut reasons = String::new();
    for address in &token.addresses {
        match ask(token, address, versions, request.clone()).await {
            Ok(reply) => return Ok(reply),
            Err(failure @ (Failure::Failed(_) | Failure::Unsupported(_))) => return Err(failure),
            Err(failure) => {
                let separator = if reasons.is_empty() { "" } else { "; " };
                let _ = write!(reasons, "{separator}{address}: {failure}");
            }
        }
    }
    Err(Failure::Unavailable(reasons))
}

async fn ask(
    token: &Token,
    address: &str,
    versions: Versions,
    request: JoinRequest,
) -> Result<JoinReply, Failure> {
    let unusable = |error| Failure::Unavailable(reason(&error));
    let tls = ClientTlsConfig::new()
        .trust_anchor(trust_anchor(&token.cluster, &token.anchor))
        .domain_name(NODE_NAME);
    let endpoint = Endpoint::from_shared(format!("https://{address}"))
        .and_then(|endpoint| endpoint.tls_config(tls)?.user_agent(agent(versions)))
        .map_err(unusable)?
        .connect_timeout(CONNECT)
        .timeout(ANSWER);
    let channel = tokio::time::timeout(CONNECT, endpoint.connect()).await;
    let late = |_| Failure::Unavailable("no connection within 5 seconds".into());
    let channel = channel.map_err(late)?.map_err(unusable)?;
    let reply = JoinClient::new(channel).join(request).await?.into_inner();
    // The server has shown that it belongs to the cluster. This shows that the
    // node will trust that cluster, and no other, from now on.
    if reply.cluster != token.cluster || !is_of(&reply.authority, &token.cluster, &token.anchor) {
        let text = "the answer names another authority than the join token";
        return Err(Failure::Failed(text.into()));
    }
    Ok(reply)
}

/// Why there is no connection, with all causes.
fn reason(error: &tonic::transport::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    if text.contains("invalid peer certificate") {
        text.push_str("; this server does not belong to the cluster that made the join token");
    }
    text
}
