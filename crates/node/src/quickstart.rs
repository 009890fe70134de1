//! The defaults of `postrider quickstart`, and its first domain and accounts.

use std::path::Path;

use anyhow::{Context, bail};
use postrider_auth::hash_password;
use postrider_meta::{Client, QuotaLimit, Refusal, command};
use postrider_types::{Address, DomainName};

use crate::settings::{Listener, Protocol};
use crate::{Settings, certificate, dir};

/// The password of both accounts.
pub const PASSWORD: &str = "postrider";
const DOMAIN: &str = "example.test";
const ACCOUNTS: [&str; 2] = ["alice@example.test", "bob@example.test"];
/// There once domain and accounts were made: who removes them wants them gone.
const SEEDED: &str = "quickstart.done";

const PORTS: [(Protocol, u16); 9] = [
    (Protocol::Smtp, 2525),
    (Protocol::Submission, 2587),
    (Protocol::Submissions, 2465),
    (Protocol::Lmtp, 2424),
    (Protocol::Imap, 2143),
    (Protocol::Imaps, 2993),
    (Protocol::Pop3, 2110),
    (Protocol::Pop3s, 2995),
    (Protocol::Http, 2080),
];

/// Settings of a node that keeps everything in `dir` (an absolute path) and
/// listens on loopback: on the usual ports plus `offset`, or on free ports
/// without one. Makes the folder and the certificate where they are missing.
pub fn quickstart_settings(dir: &Path, offset: Option<u16>) -> anyhow::Result<Settings> {
    let mut settings = Settings {
        data_dir: dir.to_owned(),
        tls: Some(certificate::self_signed(dir)?),
        ..Settings::default()
    };
    // openraft warns of messages that elections have overtaken: nothing to act on.
    settings.log.level = "warn,openraft=error".into();
    settings.blob.folder = Some(dir.join("bodies"));
    settings.smtp.plain_login_from_loopback = true;
    settings.smtp.postmaster = Some(Address::parse(ACCOUNTS[0])?);
    settings.imap.plain_login_from_loopback = true;
    settings.pop3.plain_login_from_loopback = true;
    for (protocol, port) in PORTS {
        let port = match offset {
            Some(offset) => port
                .checked_add(offset)
                .with_context(|| format!("the port offset {offset} is too large"))?,
            None => 0,
        };
        let mut listener = Listener::new(protocol, vec![([127, 0, 0, 1], port).into()]);
        // All clients are on this machine: one address is everybody.
        listener.max_connections_per_address = listener.max_connections;
        settings.listener.push(listener);
    }
    Ok(settings)
}

/// Adds domain and accounts on the first start in `dir`; true if it was the first.
pub async fn seed(meta: &Client, dir: &Path) -> anyhow::Result<bool> {
    let done = dir.join(SEEDED);
    if done.exists() {
        return Ok(false);
    }
    let domain = command::AddDomain {
        name: DomainName::parse(DOMAIN)?,
        internal: false,
        catch_all: None,
        relay: None,
    };
    made(meta.run(domain).await?.0)?;
    for address in ACCOUNTS {
        let account = command::AddAccount {
            address: Address::parse(address)?,
            verifier: hash_password(PASSWORD.into()).await?,
            quota: QuotaLimit::default(),
            expires: None,
        };
        made(meta.run(account).await?.0)?;
    }
    dir::replace(
        &done,
        b"domain and accounts were made; remove this to have them made again\n",
    )?;
    Ok(true)
}

/// What exists already was made before an interruption.
fn made<T>(verdict: Result<T, Refusal>) -> anyhow::Result<()> {
    match verdict {
        Ok(_) | Err(Refusal::Exists(_)) => Ok(()),
        Err(refusal) => bail!("cannot set up the first domain and accounts: {refusal}"),
    }
}
