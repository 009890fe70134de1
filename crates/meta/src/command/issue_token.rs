//! Lets a node join that shows a secret.

use postrider_kv::Txn;
use postrider_types::Millis;
use serde::{Deserialize, Serialize};

use crate::api::{Context, Refusal};
use crate::stop::Stop;
use crate::{cluster, key, limit, row};

/// Lets whoever has a secret add nodes with [`super::AddNode`], for a while.
/// Refused without a cluster. Tokens whose time is up go when a new one comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssueToken {
    /// BLAKE3 of the secret.
    pub hash: [u8; 32],
    /// From this moment on it is no good: ahead, by 30 days at most.
    pub expires: Millis,
    /// How often it may be used, 1 to 1,000.
    pub uses: u32,
}

pub(super) async fn apply<T: Txn>(
    txn: &mut T,
    cx: &Context,
    command: IssueToken,
) -> Result<(), Stop> {
    cluster::existing(txn).await?;
    let (age, uses) = (limit::TOKEN_AGE, limit::TOKEN_USES);
    if command.expires <= cx.now || command.expires > cx.now.after(age) {
        let days = age.as_secs() / (24 * 3600);
        let text = format!("a join token ends in the future, within {days} days");
        return Err(Refusal::Invalid(text).into());
    }
    if command.uses == 0 || command.uses > uses {
        let text = format!("a join token can be used 1 to {uses} times");
        return Err(Refusal::Invalid(text).into());
    }
    let mut waiting = 0;
    for (key, token) in cluster::tokens(txn).await? {
        match token.expired(cx.now) {
            true => txn.delete(key.to_vec()),
            false => waiting += 1,
        }
    }
    if waiting >= limit::TOKENS {
        let text = format!("{waiting} join tokens wait to be used: use one of them");
        return Err(Refusal::Limit(text).into());
    }
    let key = key::token(&command.hash);
    if txn.get(&key).await?.is_some() {
        return Err(Refusal::Exists("the join token".into()).into());
    }
    let token = row::Token {
        expires: command.expires.0,
        uses: command.uses,
    };
    row::put(txn, key, &token);
    Ok(())
}
