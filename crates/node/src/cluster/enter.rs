//! Joining without a person, as `serve` begins: a node that belongs to no cluster yet
//! asks its seeds by the preset join secret, and joins the cluster of the first that
//! lets it in. One node by name may found one, where nobody is there.
//!
//! Two clusters by accident are kept off by three things: one name alone founds; it
//! does so only after none of its seeds was there for some rounds; and the object store
//! of a first cluster refuses a second one (ADR 15).

use std::time::Duration;

use anyhow::Context as _;
use postrider_rpc::{Invited, JoinSecret, Token, invite};
use postrider_types::{Clock as _, SystemClock};
use rand::TryRngCore as _;

use super::identity::{self, Identity};
use crate::settings::{Cluster, Settings};

/// Between rounds.
const AGAIN: Duration = Duration::from_secs(1);
/// Rounds in a row in which nobody was there, before the founder founds.
const SILENT: u32 = 3;
/// The first token, which nobody needs, ends soon.
const TOKEN_AGE: Duration = Duration::from_secs(60);

/// Makes the node of `settings` part of a cluster, if they have a join secret and it is
/// in none. Waits for as long as that takes.
pub(crate) async fn enter(settings: &Settings) -> anyhow::Result<()> {
    let Some(cluster) = &settings.cluster else {
        return Ok(());
    };
    let Some(secret) = cluster.join_secret()? else {
        return Ok(());
    };
    if cluster.leave_on_stop {
        // What it was before has left, or is replaced by what it is now.
        identity::forget(&settings.data_dir)?;
    }
    if Identity::load(&settings.data_dir)?.is_some() {
        return Ok(());
    }
    let founds = cluster.founder.as_ref() == Some(&cluster.name());
    let (mut silent, mut told) = (0, String::new());
    loop {
        let tried = match ask(cluster, &secret).await? {
            Answer::Token(token) => super::join(settings, &token).await.map(drop),
            Answer::Nobody(_) if founds && silent + 1 >= SILENT => {
                silent = 0;
                tracing::info!("none of the seeds is there: founding the cluster");
                super::init(settings, TOKEN_AGE, 1).await.map(drop)
            }
            Answer::Nobody(reasons) => {
                silent += 1;
                Err(anyhow::anyhow!("no seed is there: {reasons}"))
            }
            Answer::NotNow(reasons) => {
                silent = 0;
                Err(anyhow::anyhow!("no seed lets this node in now: {reasons}"))
            }
        };
        let Err(error) = tried else {
            tracing::info!("this node belongs to the cluster now");
            return Ok(());
        };
        let text = format!("{error:#}");
        if text != told {
            tracing::warn!("waiting to join the cluster: {text}");
            told = text;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// What all seeds came to.
enum Answer {
    Token(Token),
    NotNow(String),
    Nobody(String),
}

/// Asks one seed after the other until one gives a token.
async fn ask(cluster: &Cluster, secret: &JoinSecret) -> anyhow::Result<Answer> {
    let mut nonce = [0; 16];
    let random = rand::rngs::OsRng.try_fill_bytes(&mut nonce);
    random.context("the system gives no random bytes")?;
    let request = secret.request(nonce, SystemClock.now().0, &cluster.address);
    let (mut reasons, mut somebody) = (Vec::new(), false);
    for seed in cluster
        .seeds
        .iter()
        .filter(|seed| **seed != cluster.address)
    {
        let reason = match invite(secret, seed, request.clone()).await {
            Invited::Token(token) => return Ok(Answer::Token(token)),
            Invited::NotNow(reason) => {
                somebody = true;
                reason
            }
            Invited::Silent(reason) => reason,
        };
        reasons.push(format!("{seed}: {reason}"));
    }
    let reasons = reasons.join("; ");
    Ok(match somebody {
        true => Answer::NotNow(reasons),
        false => Answer::Nobody(reasons),
    })
}
