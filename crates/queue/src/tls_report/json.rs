//! A report about TLS in JSON (RFC 8460 §4.4), compressed.

use std::io::{self, Write as _};
use std::net::IpAddr;

use flate2::Compression;
use flate2::write::GzEncoder;
use postrider_message::date;
use postrider_meta::{TlsFailure, TlsPolicyKind, TlsPolicyResults, TlsResults};
use postrider_types::Millis;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report<'a> {
    organization_name: &'a str,
    date_range: Range,
    contact_info: &'a str,
    report_id: &'a str,
    policies: Vec<Policy<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Range {
    start_datetime: String,
    end_datetime: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Policy<'a> {
    policy: Described<'a>,
    summary: Summary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failure_details: Vec<Detail<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Described<'a> {
    policy_type: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    policy_string: &'a [String],
    policy_domain: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    mx_host: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Summary {
    total_successful_session_count: u64,
    total_failure_session_count: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Detail<'a> {
    result_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sending_mta_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receiving_mx_hostname: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receiving_ip: Option<IpAddr>,
    failed_session_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason_code: Option<&'a str>,
}

/// The first moment of a day, and its last second.
pub(super) fn range(day: u32) -> (Millis, Millis) {
    let begin = u64::from(day) * 86_400_000;
    (Millis(begin), Millis(begin + 86_399_000))
}

/// The report about `results` by `submitter`.
pub(super) fn write(
    results: &TlsResults,
    submitter: &str,
    contact: &str,
    id: &str,
) -> io::Result<Vec<u8>> {
    let (begin, end) = range(results.day);
    let domain = results.domain.as_str();
    let report = Report {
        organization_name: submitter,
        date_range: Range {
            start_datetime: timestamp(begin),
            end_datetime: timestamp(end),
        },
        contact_info: contact,
        report_id: id,
        policies: results
            .policies
            .iter()
            .map(|it| policy(it, domain))
            .collect(),
    };
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(&serde_json::to_vec(&report)?)?;
    packer.finish()
}

fn policy<'a>(results: &'a TlsPolicyResults, domain: &'a str) -> Policy<'a> {
    let policy = &results.policy;
    Policy {
        policy: Described {
            policy_type: policy.kind.name(),
            policy_string: &policy.strings,
            policy_domain: domain,
            // RFC 8460 §4.4: of MTA-STS alone.
            mx_host: match policy.kind {
                TlsPolicyKind::Sts => &policy.hosts,
                TlsPolicyKind::None | TlsPolicyKind::Tlsa => &[],
            },
        },
        summary: Summary {
            total_successful_session_count: results.successes,
            total_failure_session_count: results.failures,
        },
        failure_details: results.details.iter().map(detail).collect(),
    }
}

fn detail((failure, count): &(TlsFailure, u64)) -> Detail<'_> {
    Detail {
        result_type: failure.fault.name(),
        sending_mta_ip: failure.sending_ip,
        receiving_mx_hostname: failure.host.as_deref(),
        receiving_ip: failure.receiving_ip,
        failed_session_count: *count,
        failure_reason_code: failure.reason.as_deref(),
    }
}

/// RFC 3339.
fn timestamp(at: Millis) -> String {
    let it = date::civil(at, 0);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        it.year, it.month, it.day, it.hour, it.minute, it.second
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use postrider_meta::{TlsFault, TlsPolicy};
    use postrider_types::DomainName;
    use serde_json::json;

    #[test]
    fn a_report_says_all_in_json() {
        let failure = TlsFailure {
            fault: TlsFault::CertificateExpired,
            sending_ip: None,
            host: Some("mx.example.net".into()),
            receiving_ip: Some([192, 0, 2, 1].into()),
            reason: None,
        };
        let results = TlsResults {
            day: 1,
            domain: DomainName::parse("example.net").unwrap(),
            id: "00".into(),
            revision: 1,
            sent: Vec::new(),
            policies: vec![TlsPolicyResults {
                policy: TlsPolicy {
                    kind: TlsPolicyKind::Sts,
                    strings: vec!["version: STSv1".into()],
                    hosts: vec!["*.example.net".into()],
                },
                successes: 3,
                failures: 2,
                details: vec![(failure, 2)],
            }],
        };
        let packed = write(&results, "example.org", "pm@example.org", "1@example.org").unwrap();
        let mut text = String::new();
        GzDecoder::new(&packed[..])
            .read_to_string(&mut text)
            .unwrap();
        let found: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = json!({
            "organization-name": "example.org",
            "date-range": {
                "start-datetime": "1970-01-02T00:00:00Z",
                "end-datetime": "1970-01-02T23:59:59Z",
            },
            "contact-info": "pm@example.org",
            "report-id": "1@example.org",
            "policies": [{
                "policy": {
                    "policy-type": "sts",
                    "policy-string": ["version: STSv1"],
                    "policy-domain": "example.net",
                    "mx-host": ["*.example.net"],
                },
                "summary": {
                    "total-successful-session-count": 3,
                    "total-failure-session-count": 2,
                },
                "failure-details": [{
                    "result-type": "certificate-expired",
                    "receiving-mx-hostname": "mx.example.net",
                    "receiving-ip": "192.0.2.1",
                    "failed-session-count": 2,
                }],
            }],
        });
        assert_eq!(found, expected);
    }
}
