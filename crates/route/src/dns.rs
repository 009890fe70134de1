//! Questions to name servers, over hickory: aliases are followed here, and every
//! answer says how far DNSSEC vouches for it.
//!
//! Owns the rule what counts as an answer. Knows no MX preference, no TLSA.

mod denial;
mod trail;

use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, Record, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{ResolverBuilder, TokioResolver};

use crate::settings::{NameServer, Settings};
use crate::{Error, SetupError};
pub(crate) use denial::Denial;
use trail::Trail;

/// What a lookup found.
#[derive(Debug)]
pub(crate) enum Found {
    /// Records of the type that was asked for: never none.
    Records(Answer),
    /// There are no such records.
    Nothing(Denial),
}

/// Records, and how the name led to them.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Records of the type that was asked for, all of one name.
    pub(crate) records: Vec<Record>,
    /// The name that has them: the one asked for, or what it is an alias of.
    pub(crate) owner: Name,
    /// The records and all aliases were validated.
    pub(crate) secure: bool,
    /// The name asked for is an alias, and this much was validated.
    pub(crate) alias_secure: bool,
}

/// No answer, or none that can be believed: asking later may help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) String);

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::dns(failure.0)
    }
}

/// Asks name servers, with a cache. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dns {
    resolver: TokioResolver,
    deadline: Duration,
    validate: bool,
}

/// What one question to hickory came to.
enum Reply {
    /// The answer section.
    Records(Vec<Record>),
    Nothing(Denial),
}

impl Dns {
    pub(crate) fn new(settings: &Settings) -> Result<Self, SetupError> {
        let mut builder = builder(settings)?;
        builder.options_mut().preserve_intermediates = true;
        if settings.dnssec {
            builder = builder.with_trust_anchor(Arc::new(trust_anchors(settings)?));
        }
        Ok(Self {
            resolver: build(builder)?,
            deadline: settings.deadline,
            validate: settings.dnssec,
        })
    }

    /// Whether answers are validated by DNSSEC.
    pub(crate) fn validates(&self) -> bool {
        self.validate
    }

    /// The records of `kind` at `name`, or at what it is an alias of.
    pub(crate) async fn lookup(&self, name: &Name, kind: RecordType) -> Result<Found, Failure> {
        let found = match tokio::time::timeout(self.deadline, self.follow(name, kind)).await {
            Ok(found) => found,
            Err(_) => Err(Failure("the name servers took too long".into())),
        };
        found.map_err(|Failure(reason)| {
            let name = display(name);
            tracing::debug!(name, %kind, reason, "a lookup failed");
            Failure(format!("cannot look up {kind} of {name}: {reason}"))
        })
    }

    /// Whether `end`, where a lookup found nothing, is an alias still: then its
    /// chain runs in a circle or is too long.
    pub(crate) async fn is_endless(&self, end: &Name) -> Result<bool, Failure> {
        let found = self.lookup(end, RecordType::CNAME).await?;
        Ok(matches!(found, Found::Records(_)))
    }

    async fn follow(&self, name: &Name, kind: RecordType) -> Result<Found, Failure> {
        let mut trail = Trail::new(name.clone(), self.validate);
        loop {
            let answers = match self.ask(trail.end(), kind).await? {
                Reply::Records(answers) => answers,
                Reply::Nothing(denial) => return Ok(Found::Nothing(denial)),
            };
            if let Some(answer) = trail.walk(answers, kind)? {
                return Ok(Found::Records(answer));
            }
            // The resolver's cache gives the end of a chain without the aliases
            // that led there, and whether those are secure is lost with them.
            let Reply::Records(alias) = self.ask(trail.end(), RecordType::CNAME).await? else {
                return Err(Failure("the answer does not fit the question".into()));
            };
            trail.step(alias)?;
        }
    }

    async fn ask(&self, name: &Name, kind: RecordType) -> Result<Reply, Failure> {
        match self.resolver.lookup(name.clone(), kind).await {
            Ok(lookup) => Ok(Reply::Records(lookup.answers().to_vec())),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                Ok(Reply::Nothing(Denial::from_response(&none)))
            }
            // Signed, and the proof says that DNSSEC does not vouch here: a hole
            // for unsigned delegations (RFC 5155 §6) or too many iterations.
            Err(NetError::Dns(DnsError::Nsec {
                query,
                response,
                proof: Proof::Insecure,
                ..
            })) => {
                if response.answers.is_empty() {
                    let nonexistent = response.response_code == ResponseCode::NXDomain;
                    return Ok(Reply::Nothing(Denial::proven(query.name(), nonexistent)));
                }
                let mut answers = response.answers.clone();
                for record in &mut answers {
                    record.proof = record.proof.min(Proof::Insecure);
                }
                Ok(Reply::Records(answers))
            }
            Err(error) => Err(Failure(reason(&error))),
        }
    }
}

/// A resolver for those who judge mail: the same servers and the same patience,
/// without DNSSEC, of whose errors they know nothing.
pub fn unvalidated_resolver(settings: &Settings) -> Result<TokioResolver, SetupError> {
    build(builder(settings)?)
}

fn builder(settings: &Settings) -> Result<ResolverBuilder<TokioRuntimeProvider>, SetupError> {
    let servers = match settings.servers.is_empty() {
        true => {
            let (config, _) = read_system_conf().map_err(|e| SetupError::System(e.to_string()))?;
            config.into_parts().2
        }
        false => settings.servers.iter().map(name_server).collect(),
    };
    if servers.is_empty() {
        return Err(SetupError::System("it lists none".into()));
    }
    let config = ResolverConfig::from_name_servers(servers);
    let provider = TokioRuntimeProvider::default();
    let mut builder = TokioResolver::builder_with_config(config, provider);
    let options = builder.options_mut();
    options.timeout = settings.timeout;
    options.attempts = settings.retries;
    options.cache_size = settings.cache_size;
    options.use_hosts_file = ResolveHosts::Never;
    Ok(builder)
}

fn build(builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<TokioResolver, SetupError> {
    builder.build().map_err(|e| SetupError::Part {
        part: "the resolver",
        reason: e.to_string(),
    })
}

/// The words for a failed query.
fn reason(error: &NetError) -> String {
    match error {
        NetError::Timeout => "the name servers do not answer".into(),
        NetError::Dns(DnsError::DnssecBogus | DnsError::Nsec { .. }) => {
            "the answer fails validation by DNSSEC".into()
        }
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => {
            "the name server reports a failure (SERVFAIL)".into()
        }
        NetError::Dns(DnsError::ResponseCode(code)) => format!("the name server says: {code}"),
        error => error.to_string(),
    }
}

fn name_server(NameServer(address): &NameServer) -> NameServerConfig {
    let on_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![
        on_port(ConnectionConfig::udp()),
        on_port(ConnectionConfig::tcp()),
    ];
    NameServerConfig::new(address.ip(), true, connections)
}

fn trust_anchors(settings: &Settings) -> Result<TrustAnchors, SetupError> {
    let Some(file) = &settings.trust_anchor else {
        return Ok(TrustAnchors::default());
    };
    TrustAnchors::from_file(file).map_err(|e| SetupError::File {
        file: file.clone(),
        reason: format!("it holds no DNSKEY records in the form of a zone file: {e}"),
    })
}

/// `text` as a full name. Fails where a label or the whole is too long.
pub(crate) fn name(text: &str) -> Result<Name, Failure> {
    let mut name = Name::from_ascii(text)
        .map_err(|_| Failure(format!("{text} is too long for a name in the DNS")))?;
    name.set_fqdn(true);
    Ok(name)
}

/// `name` as people write it: in lower case, without the final dot.
pub(crate) fn display(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}
