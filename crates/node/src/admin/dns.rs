//! `/v1/domains/{name}/dns` and `/keys`: what a domain publishes, and the exchange
//! of its signing keys. Private keys do not leave here.

use axum::Json as AxumJson;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use postrider_dkim::records::{self, DmarcPolicy, Setup, StsMode, StsPolicy};
use postrider_meta::query::Resolution;
use postrider_meta::{DkimKey, DkimState, Refusal, command, query};
use postrider_types::{Address, DomainName};

use super::api::{ChangeKeys, Dns, Key, Policy, Record};
use super::{Error, Handles, Json, Result};
use crate::keys;
use crate::web::public_name;

/// How often a change of keys is tried that another comes before.
const CHANGES: u32 = 3;

pub(super) async fn show(
    State(handles): State<Handles>,
    Path(name): Path<String>,
) -> Result<AxumJson<Dns>> {
    let domain = DomainName::parse(&name)?;
    Ok(AxumJson(handles.dns(domain).await?))
}

pub(super) async fn change_keys(
    State(handles): State<Handles>,
    Path(name): Path<String>,
    Json(change): Json<ChangeKeys>,
) -> Result<AxumJson<Dns>> {
    let domain = DomainName::parse(&name)?;
    let nothing = |text: String| Err(Error::new(StatusCode::CONFLICT, "nothing", text));
    let mut tries = 0;
    loop {
        let before = handles.keys(&domain).await?;
        let mut list = before.clone();
        match change.action.as_str() {
            // Asked again, the same pair is told again.
            "rotate" if keys::has_pending(&list) => {
                return Ok(AxumJson(handles.dns(domain).await?));
            }
            "rotate" => list.extend(handles.new_pair(&list, DkimState::Pending).await?),
            "activate" => {
                if !keys::activate(&mut list) {
                    return nothing(format!(
                        "{domain} has no pending keys: make them with `postrider domain rotate-keys {domain}`"
                    ));
                }
            }
            "drop_retired" => {
                if !keys::drop_retired(&mut list) {
                    return nothing(format!("{domain} has no retired keys"));
                }
            }
            _ => {
                let text = "`action` is `rotate`, `activate` or `drop_retired`";
                return Err(Error::invalid(text));
            }
        }
        let set = command::SetDkimKeys {
            domain: domain.clone(),
            before: before.iter().map(DkimKey::known).collect(),
            keys: list,
        };
        tries += 1;
        match handles.run(set).await {
            // Somebody else was faster: what the keys are now decides.
            Err(error) if error.is_in_use() && tries < CHANGES => {}
            done => break done?,
        }
    }
    let mut dns = handles.dns(domain).await?;
    if change.action == "activate" {
        dns.notes.insert(0, unasked(&dns));
    }
    Ok(AxumJson(dns))
}

/// What to look at after an activation.
fn unasked(dns: &Dns) -> String {
    let active = dns.keys.iter().find(|key| key.state == "active");
    let selector = active.map_or("", |key| key.selector.as_str());
    format!(
        "DNS was not asked whether the records of the new keys are there: others cannot verify \
         what is signed until they are (`dig TXT {selector}._domainkey.{}`).",
        dns.domain
    )
}

impl Handles {
    async fn keys(&self, domain: &DomainName) -> Result<Vec<DkimKey>> {
        let domain = domain.clone();
        self.ask(query::DkimKeys { domain }).await
    }

    /// A new pair of keys.
    pub(super) async fn new_pair(
        &self,
        known: &[DkimKey],
        state: DkimState,
    ) -> Result<Vec<DkimKey>> {
        let now = self.meta.clock().now();
        keys::make(known, state, now).await.map_err(|error| {
            let text = format!("no keys could be made: {error}");
            Error::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", text)
        })
    }

    /// What `domain` publishes, and what is left to do.
    async fn dns(&self, domain: DomainName) -> Result<Dns> {
        let reports = Address::new("postmaster", domain.clone())?;
        let resolve = query::Resolve {
            address: reports.clone(),
            size: 0,
            local_sender: false,
            notice: false,
            overdraft: false,
            now: self.meta.clock().now(),
        };
        let reached = self.ask(resolve).await?;
        if reached == Resolution::Foreign {
            return Err(Refusal::NotFound(format!("domain {domain}")).into());
        }
        let list = self.keys(&domain).await?;
        let selected = keys::selected(&list).map_err(|error| {
            let text = format!("the keys of {domain} cannot be read: {error}");
            Error::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", text)
        })?;
        let host = public_name(&self.smtp.hostname);
        let policy = self.site.policy(&domain);
        let published = records::records(&Setup {
            domain: &domain,
            hosts: host.as_slice(),
            keys: &selected,
            sts: policy.as_ref(),
            dmarc: DmarcPolicy::None,
            // An internal domain takes no mail from others.
            reports: Some(&reports).filter(|_| reached != Resolution::Internal),
        });
        let mut notes = Vec::new();
        notes.extend(self.note_on_host(host.as_ref()));
        notes.extend(policy.and_then(|policy| self.note_on_policy(&policy)));
        notes.extend(note_on_keys(&domain, &list));
        let is_unknown = reached == Resolution::Unknown && self.smtp.postmaster.is_none();
        notes.extend(is_unknown.then(|| {
            format!(
                "Reports of others go to {reports}, which does not exist: `postrider alias add \
                 {reports} SOMEBODY`."
            )
        }));
        Ok(Dns {
            domain: domain.to_string(),
            records: published.records.into_iter().map(Record::from).collect(),
            policy: published.policy.map(Policy::from),
            keys: list.iter().map(Key::from).collect(),
            notes,
        })
    }

    fn note_on_host(&self, host: Option<&DomainName>) -> Option<String> {
        let name = &self.smtp.hostname;
        if host.is_none() {
            return Some(format!(
                "Records that name the host are left out: smtp.hostname of this node is `{name}`, \
                 which nobody else can look up. Set it to this host's name in DNS and ask again."
            ));
        }
        let others = match self.site.names_mx() {
            true => ".",
            false => {
                ", and name each in the MTA-STS policy: web.mta_sts.mx in the settings of all nodes."
            }
        };
        self.cluster.as_ref().map(|_| {
            format!(
                "Only the node that was asked is named, {name}: publish an MX record for each \
                 node that takes mail{others}"
            )
        })
    }

    /// What is left to do for the MTA-STS policy.
    fn note_on_policy(&self, policy: &StsPolicy) -> Option<String> {
        let host = &policy.host;
        if self.site.sts_mode() == StsMode::None {
            return Some(format!(
                "web.mta_sts.mode is \"none\": the MTA-STS policy withdraws one of before. Keep it \
                 and its records for as long as others may keep that one; then remove the records \
                 of {host} and _mta-sts."
            ));
        }
        (!self.site.listens()).then(|| {
            format!(
                "This node does not serve the MTA-STS policy: add a `web` listener on port 443 \
                 with a certificate for {host}, or serve the text by a web server of yours. \
                 Publish the record _mta-sts once it can be fetched."
            )
        })
    }
}

fn note_on_keys(domain: &DomainName, list: &[DkimKey]) -> Option<String> {
    if list.is_empty() {
        return Some(format!(
            "{domain} has no signing keys: make them with `postrider domain rotate-keys {domain}`."
        ));
    }
    if keys::has_pending(list) {
        let pending = list.iter().filter(|key| key.state == DkimState::Pending);
        let selectors: Vec<_> = pending.map(|key| key.selector.as_str()).collect();
        return Some(format!(
            "The keys {} sign nothing yet. DNS is not asked from here: once their records can be \
             looked up everywhere (`dig TXT {}._domainkey.{domain}`), sign with them: `postrider \
             domain rotate-keys {domain} --activate`.",
            selectors.join(" and "),
            selectors.first().copied().unwrap_or_default(),
        ));
    }
    keys::has(list, DkimState::Retired).then(|| {
        format!(
            "Keep the records of retired keys for a week: mail that they signed is on its way. \
             Then `postrider domain rotate-keys {domain} --drop-retired`, and remove them."
        )
    })
}
