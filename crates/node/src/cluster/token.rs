//! Join tokens: one word that lets a node in, for a while and for a number of uses.

use std::time::Duration;

use anyhow::Context;
use postrider_meta::{Client, command};
use postrider_rpc::Authority;

/// The most addresses in a token: it stays a word that can be pasted.
pub(super) const MAX_ADDRESSES: usize = 5;

/// Makes a token that `uses` nodes may join with within `expires`, by way of
/// the nodes at `addresses`.
pub(crate) async fn issue(
    meta: &Client,
    authority: &Authority,
    expires: Duration,
    uses: u32,
    mut addresses: Vec<String>,
) -> anyhow::Result<String> {
    addresses.truncate(MAX_ADDRESSES);
    let mut secret = [0; 16];
    meta.random().fill(&mut secret);
    let token = authority.token(secret, addresses);
    let issue = command::IssueToken {
        hash: token.hash(),
        expires: meta.clock().now().after(expires),
        uses,
    };
    meta.run(issue).await?.0.context("no token was made")?;
    Ok(token.to_string())
}
