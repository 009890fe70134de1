//! Tests of the records: all of a domain, few of them, and odd values.

use std::sync::Arc;

use super::*;
use crate::{Algorithm, Key};

fn lines(setup: &Setup<'_>) -> Vec<String> {
    let published = records(setup);
    published.records.iter().map(ToString::to_string).collect()
}

#[test]
fn a_domain_gets_all_its_records() {
    let domain = DomainName::parse("example.org").unwrap();
    let hosts = ["mx1.example.net", "mx2.example.net"].map(|h| DomainName::parse(h).unwrap());
    let key = Arc::new(Key::generate(Algorithm::Ed25519).unwrap());
    let keys = [SelectedKey::new("2025e", key.clone()).unwrap()];
    let reports = Address::parse("reports@example.net").unwrap();
    let names = hosts.each_ref().map(ToString::to_string);
    let week = Duration::from_secs(604_800);
    let policy = StsPolicy::new(&domain, &names, StsMode::Testing, week);
    let setup = Setup {
        domain: &domain,
        hosts: &hosts,
        keys: &keys,
        sts: Some(&policy),
        dmarc: DmarcPolicy::Quarantine,
        reports: Some(&reports),
    };
    let policy = records(&setup).policy.unwrap();
    assert_eq!(
        policy.text,
        "version: STSv1\r\nmode: testing\r\nmx: mx1.example.net\r\n\
         mx: mx2.example.net\r\nmax_age: 604800\r\n"
    );
    assert_eq!(policy.host, "mta-sts.example.org");
    let want = format!(
        "example.org. IN MX 10 mx1.example.net.\n\
         example.org. IN MX 10 mx2.example.net.\n\
         example.org. IN TXT \"v=spf1 mx ~all\"\n\
         2025e._domainkey.example.org. IN TXT \"v=DKIM1; k=ed25519; p={}\"\n\
         _dmarc.example.org. IN TXT \"v=DMARC1; p=quarantine; rua=mailto:reports@example.net\"\n\
         example.org._report._dmarc.example.net. IN TXT \"v=DMARC1\"\n\
         _mta-sts.example.org. IN TXT \"v=STSv1; id={};\"\n\
         mta-sts.example.org. IN CNAME mx1.example.net.\n\
         _smtp._tls.example.org. IN TXT \"v=TLSRPTv1; rua=mailto:reports@example.net\"\n\
         _submissions._tcp.example.org. IN SRV 0 1 465 mx1.example.net.\n\
         _submissions._tcp.example.org. IN SRV 0 1 465 mx2.example.net.\n\
         _submission._tcp.example.org. IN SRV 10 1 587 mx1.example.net.\n\
         _submission._tcp.example.org. IN SRV 10 1 587 mx2.example.net.\n\
         _imaps._tcp.example.org. IN SRV 0 1 993 mx1.example.net.\n\
         _imaps._tcp.example.org. IN SRV 0 1 993 mx2.example.net.\n\
         _pop3s._tcp.example.org. IN SRV 10 1 995 mx1.example.net.\n\
         _pop3s._tcp.example.org. IN SRV 10 1 995 mx2.example.net.\n\
         autoconfig.example.org. IN CNAME mx1.example.net.",
        key.public_key(),
        policy.id,
    );
    assert_eq!(lines(&setup).join("\n"), want);
}

#[test]
fn a_domain_may_have_little() {
    let domain = DomainName::parse("example.org").unwrap();
    let setup = Setup {
        domain: &domain,
        hosts: &[],
        keys: &[],
        sts: None,
        dmarc: DmarcPolicy::None,
        reports: None,
    };
    assert_eq!(
        lines(&setup),
        [
            "example.org. IN TXT \"v=spf1 mx ~all\"",
            "_dmarc.example.org. IN TXT \"v=DMARC1; p=none\""
        ]
    );
    assert_eq!(records(&setup).policy, None);
}

#[test]
fn reports_within_the_organization_need_no_consent() {
    let domain = DomainName::parse("mail.example.org").unwrap();
    for (address, count) in [
        ("d@mail.example.org", 1),
        ("d@example.org", 1),
        ("d@x.mail.example.org", 1),
        ("d@notmail.example.org", 2),
        ("d@example.net", 2),
    ] {
        let reports = Address::parse(address).unwrap();
        let setup = Setup {
            domain: &domain,
            hosts: &[],
            keys: &[],
            sts: None,
            dmarc: DmarcPolicy::Reject,
            reports: Some(&reports),
        };
        let lines = lines(&setup);
        let dmarc = lines.iter().filter(|l| l.contains("DMARC1")).count();
        assert_eq!(dmarc, count, "{address}");
    }
}

#[test]
fn a_long_key_is_cut_into_strings() {
    let key = Arc::new(Key::generate(Algorithm::Rsa).unwrap());
    let record = Record {
        name: "s._domainkey.example.org".into(),
        kind: Kind::Txt,
        value: key.record(),
        purpose: DKIM,
    };
    let line = record.to_string();
    let strings: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
    assert_eq!(strings.len(), 2);
    assert_eq!(strings[0].len(), MAX_STRING);
    assert_eq!(strings.concat(), key.record());
}

#[test]
fn the_id_changes_with_the_policy() {
    let domain = DomainName::parse("example.org").unwrap();
    let id = |mode, age| StsPolicy::new(&domain, &[], mode, Duration::from_secs(age)).id;
    let first = id(StsMode::Enforce, 86_400);
    assert_eq!(first, id(StsMode::Enforce, 86_400));
    assert_ne!(first, id(StsMode::Testing, 86_400));
    assert_ne!(first, id(StsMode::Enforce, 86_401));
    assert!(first.len() <= 32 && first.bytes().all(|b| b.is_ascii_alphanumeric()));
    assert_eq!(id(StsMode::None, u64::MAX), id(StsMode::None, MAX_STS_AGE));
}

#[test]
fn report_addresses_are_uris() {
    let address = Address::parse("a,b!;ü@example.org").unwrap();
    assert_eq!(mailto(&address), "mailto:a%2Cb%21%3B%C3%BC@example.org");
}
