//! [`Judge`]: asks the DNS about a message and says what a seal may tell.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use mail_auth::arc::ChainValidation;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{
    ArcOutput, AuthenticatedMessage, DkimOutput, DkimResult, MessageAuthenticator, SpfOutput,
};
use postrider_dkim::{Chain, MAX_INSTANCE};
use postrider_route::{Settings, SetupError, unvalidated_resolver};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::results::Results;

/// The most DKIM signatures that are looked at: each costs a lookup.
const MAX_SIGNATURES: usize = 10;

/// How a message came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The client that brought it.
    pub client: IpAddr,
    /// What the client called itself; empty where it did not say.
    pub helo: String,
    /// The envelope's sender; empty for the null reverse-path.
    pub sender: String,
}

/// What was found out, for the next set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The number of the next set, 1 to [`MAX_INSTANCE`].
    pub instance: u32,
    /// The sets that are there.
    pub chain: Chain,
    /// The value of Authentication-Results, folded, in ASCII.
    pub results: String,
}

/// What is to be done with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Seal it so.
    Seal(Judged),
    /// Add no set, for this reason.
    Leave(&'static str),
    /// The DNS did not say whether the chain is valid: a later attempt may tell.
    Later(String),
}

/// Judges messages. Cheap to clone.
#[derive(Clone)]
pub struct Judge {
    authenticator: MessageAuthenticator,
    hostname: String,
    deadline: Duration,
}

impl Judge {
    /// One that speaks as `hostname` and asks the name servers of `settings`, each
    /// check for no longer than the deadline there.
    pub fn new(settings: &Settings, hostname: &str) -> Result<Self, SetupError> {
        let resolver = unvalidated_resolver(settings)?;
        Ok(Self {
            authenticator: MessageAuthenticator(resolver),
            hostname: hostname.to_owned(),
            deadline: settings.deadline,
        })
    }

    /// Judges a whole message as it came, with the line ends of SMTP.
    pub async fn judge(&self, message: Bytes, arrival: Arrival) -> Verdict {
        let (judge, runtime) = (self.clone(), Handle::current());
        // Body hashes of megabytes are no work for a thread that others wait for.
        let judged = tokio::task::spawn_blocking(move || {
            let Some(message) = AuthenticatedMessage::parse(&message) else {
                return Verdict::Leave("it has no header");
            };
            runtime.block_on(judge.parsed(message, &arrival))
        });
        let failed = |error| Verdict::Later(format!("the message could not be judged: {error}"));
        judged.await.unwrap_or_else(failed)
    }

    async fn parsed(&self, mut message: AuthenticatedMessage<'_>, arrival: &Arrival) -> Verdict {
        message.dkim_headers.truncate(MAX_SIGNATURES);
        message.errors.truncate(MAX_SIGNATURES);
        let message = &message;
        // RFC 8617 §5.1.1.3: nothing is added to a chain that was told to have failed.
        let mut seals = message.as_headers.iter();
        if seals.any(|seal| seal.header.cv == ChainValidation::Fail) {
            return Verdict::Leave("its chain has failed before");
        }
        let instance = highest(message) + 1;
        if instance > MAX_INSTANCE {
            return Verdict::Leave("its chain is as long as it may be");
        }
        let (arc, dkim, spf) = tokio::join!(
            timeout(self.deadline, self.authenticator.verify_arc(message)),
            timeout(self.deadline, self.authenticator.verify_dkim(message)),
            timeout(self.deadline, self.spf(arrival)),
        );
        let chain = match chain(message, arc.ok().as_ref()) {
            Ok(chain) => chain,
            Err(reason) => return Verdict::Later(reason),
        };
        let mut results = Results::new(&self.hostname);
        results.spf(spf.as_ref().ok(), arrival);
        results.dkim(dkim.as_deref().ok());
        if let (Ok(dkim), Ok(spf)) = (&dkim, &spf) {
            self.dmarc(message, dkim, spf, arrival, &mut results).await;
        }
        results.arc(&chain, arrival);
        Verdict::Seal(Judged {
            instance,
            chain,
            results: results.finish(),
        })
    }

    /// By the sender before it was rewritten; for the null one by the client's name
    /// (RFC 7208 §2.4).
    async fn spf(&self, arrival: &Arrival) -> SpfOutput {
        let Arrival {
            client,
            helo,
            sender,
        } = arrival;
        let parameters = SpfParameters::verify_mail_from(*client, helo, &self.hostname, sender);
        self.authenticator.verify_spf(parameters).await
    }

    async fn dmarc(
        &self,
        message: &AuthenticatedMessage<'_>,
        dkim: &[DkimOutput<'_>],
        spf: &SpfOutput,
        arrival: &Arrival,
        results: &mut Results,
    ) {
        let domain = arrival.sender.rsplit_once('@').map(|(_, domain)| domain);
        let domain = domain.unwrap_or(&arrival.helo);
        let parameters = DmarcParameters::new(message, dkim, domain, spf);
        let verified = self.authenticator.verify_dmarc(parameters);
        if let Ok(dmarc) = timeout(self.deadline, verified).await {
            results.dmarc(&dmarc);
        }
    }
}

/// The highest number of a set in the message; 0 where there is none.
fn highest(message: &AuthenticatedMessage<'_>) -> u32 {
    let seals = message.as_headers.iter().map(|it| it.header.i);
    let signatures = message.ams_headers.iter().map(|it| it.header.i);
    let results = message.aar_headers.iter().map(|it| it.header.i);
    let all = seals.chain(signatures).chain(results);
    all.max().unwrap_or(0)
}

/// What is known of the chain; the reason where the DNS did not say.
fn chain(
    message: &AuthenticatedMessage<'_>,
    checked: Option<&ArcOutput<'_>>,
) -> Result<Chain, String> {
    // Fields that cannot be read are a chain too, a broken one.
    if highest(message) == 0 && !message.has_arc_errors {
        return Ok(Chain::None);
    }
    let Some(checked) = checked else {
        return Err("the name servers took too long".into());
    };
    match checked.result() {
        DkimResult::Pass => Ok(passed(checked)),
        DkimResult::TempError(error) => Err(error.to_string()),
        _ => Ok(Chain::Fail),
    }
}

fn passed(checked: &ArcOutput<'_>) -> Chain {
    let sets = checked.sets().iter();
    Chain::pass(sets.flat_map(|set| {
        [
            ("ARC-Authentication-Results", set.results.value),
            ("ARC-Message-Signature", set.signature.value),
            ("ARC-Seal", set.seal.value),
        ]
    }))
}
