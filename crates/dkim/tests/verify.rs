//! Signatures as an independent verifier sees them: odd messages, any bytes in any
//! pieces, and what must break a signature. The keys come to the verifier from a
//! cache that stands for DNS.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::{
    AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt,
};
use postrider_dkim::{Algorithm, Error, Key, SelectedKey, Signer};
use postrider_types::{Address, DomainName, Millis};
use proptest::prelude::*;
use tokio::runtime::Runtime;

struct Zone(Mutex<HashMap<Box<str>, Txt>>);

impl ResolverCache<Box<str>, Txt> for Zone {
    fn get<Q: Hash + Eq + ?Sized>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
    {
        self.0.lock().unwrap().get(name).cloned()
    }

    fn remove<Q: Hash + Eq + ?Sized>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
    {
        self.0.lock().unwrap().remove(name)
    }

    fn insert(&self, name: Box<str>, value: Txt, _: Instant) {
        self.0.lock().unwrap().insert(name, value);
    }
}

/// Keys of both kinds, and a verifier that knows them.
struct World {
    keys: Vec<SelectedKey>,
    zone: Zone,
    runtime: Runtime,
    verifier: MessageAuthenticator,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let mut keys = Vec::new();
    let mut names = HashMap::new();
    for (selector, algorithm) in [("r1", Algorithm::Rsa), ("e1", Algorithm::Ed25519)] {
        let key = Arc::new(Key::generate(algorithm).unwrap());
        let record = DomainKey::parse(key.record().as_bytes()).unwrap();
        let name = format!("{selector}._domainkey.example.org.");
        names.insert(name.into(), Txt::DomainKey(Arc::new(record)));
        keys.push(SelectedKey::new(selector, key).unwrap());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let verifier = runtime
        .block_on(async { MessageAuthenticator::new_cloudflare() })
        .unwrap();
    World {
        keys,
        zone: Zone(Mutex::new(names)),
        runtime,
        verifier,
    }
});

const NOW: Millis = Millis::from_seconds(1_700_000_000);

fn signer() -> Signer {
    Signer::new(DomainName::parse("example.org").unwrap(), &WORLD.keys, NOW)
}

fn sign<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut signer = signer();
    for piece in pieces {
        signer.update(piece);
    }
    signer.finish().unwrap()
}

/// What the verifier says to each signature of `message`.
fn results(message: &[u8]) -> Vec<DkimResult> {
    let message = AuthenticatedMessage::parse(message).unwrap();
    let parameters = Parameters::new(&message).with_txt_cache(&WORLD.zone);
    let verified = WORLD.verifier.verify_dkim(parameters);
    let outputs = WORLD.runtime.block_on(verified);
    outputs.iter().map(|o| o.result().clone()).collect()
}

fn signed(message: &[u8]) -> Vec<u8> {
    let mut whole = sign([message]);
    whole.extend_from_slice(message);
    whole
}

fn assert_passes(message: &[u8]) {
    let whole = signed(message);
    let shown = String::from_utf8_lossy(&whole);
    assert_eq!(
        results(&whole),
        [DkimResult::Pass, DkimResult::Pass],
        "{shown:?}"
    );
}

#[test]
fn odd_messages_verify() {
    let line = format!(
        "Subject: {}\r\n\r\n{}\r\n",
        "s".repeat(900),
        "b".repeat(100_000)
    );
    let folded = format!("To: a@b{}\r\n\r\nx\r\n", ",\r\n\ta@b".repeat(1000));
    for message in [
        "From: a@example.org\r\nTo: b@c\r\nSubject: hi\r\n\r\nhello\r\n",
        // Folding of all kinds, empty and doubled fields, none but strangers.
        "From:a@example.org\r\nSubject:  a \t b\r\n \t c  \r\nTo:\r\nCc: \r\n\tx@y\r\n\r\nx\r\n",
        "From: a@x\r\nFrom: b@x\r\nTo: c\r\nTo: d\r\nSubject:\r\nSubject: \r\n\r\nx\r\n",
        "X: y\r\n\r\nx\r\n",
        "List-Id: <l>\r\nList-Post: <m>\r\nSender: s@x\r\nFrom: a@x\r\n\r\nx\r\n",
        // No body, an empty one, one without an end, many empty lines.
        "From: a@x\r\n",
        "From: a@x\r\n\r\n",
        "From: a@x\r\n\r\nno end",
        "From: a@x\r\n\r\n\r\n\r\n\r\n",
        "From: a@x\r\n\r\n\r\n\r\nx\r\n\r\n\r\n\r\n",
        "From: a@x\r\n\r\n a \t b \r\n\t c\t\r\n\r\nd\r\n",
        // Line ends of one byte.
        "From: a@x\nSubject: a\n b\n\nx\n\ny\n",
        "From: j\u{fc}rgen <a@x>\r\n\r\n\u{fc}\r\n",
        &line,
        &folded,
    ] {
        assert_passes(message.as_bytes());
    }
}

#[test]
fn changes_break_the_signatures() {
    let whole = signed(b"From: a@example.org\r\nTo: b@c\r\nSubject: hi\r\n\r\nhello\r\n");
    let whole = String::from_utf8(whole).unwrap();
    for (from, to) in [
        ("hello", "hallo"),
        ("Subject: hi", "Subject: ho"),
        ("From: a", "Cc: x@y\r\nFrom: a"),
        ("From: a", "Subject: other\r\nFrom: a"),
        ("From: a", "Content-Type: text/html\r\nFrom: a"),
        ("To: b@c\r\n", ""),
        ("t=1700000000", "t=1700000001"),
    ] {
        let changed = whole.replace(from, to);
        assert_ne!(changed, whole);
        let results = results(changed.as_bytes());
        assert_eq!(results.len(), 2);
        assert!(!results.contains(&DkimResult::Pass), "{from}: {results:?}");
    }
    // What is added on the way and not covered breaks nothing.
    for (from, to) in [
        ("From: a", "Received: x\r\nList-Id: <l>\r\nFrom: a"),
        ("Subject: hi", "SUBJECT:\r\n  hi"),
        ("hello\r\n", "hello \r\n\r\n"),
    ] {
        let changed = whole.replace(from, to);
        assert_ne!(changed, whole);
        let pass = DkimResult::Pass;
        assert_eq!(results(changed.as_bytes()), [pass.clone(), pass], "{from}");
    }
}

#[test]
fn expiry_and_identity_are_told() {
    let message = b"From: a@example.org\r\n\r\nx\r\n";
    let identity = Address::parse("a=b@sub.example.org").unwrap();
    let mut signer = signer()
        .expires_after(Duration::from_secs(4_000_000_000))
        .on_behalf_of(&identity)
        .unwrap();
    signer.update(message);
    let mut whole = signer.finish().unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    assert!(text.contains("t=1700000000;") && text.contains("x=5700000000;"));
    assert!(text.contains("i=a=3Db@sub.example.org;"), "{text}");
    whole.extend_from_slice(message);
    assert_eq!(results(&whole), [DkimResult::Pass, DkimResult::Pass]);

    for other in ["a@example.com", "a@notexample.org", "a@org"] {
        let other = Address::parse(other).unwrap();
        let error = self::signer().on_behalf_of(&other).err().unwrap();
        assert!(matches!(error, Error::Identity { .. }));
    }
}

#[test]
fn too_much_to_sign_is_an_error() {
    let mut signer = signer();
    for _ in 0..1000 {
        signer.update(b"To: somebody@example.org\r\n");
    }
    assert_eq!(signer.finish(), Err(Error::Header));
    let none = Signer::new(DomainName::parse("example.org").unwrap(), &[], NOW);
    assert_eq!(none.finish(), Ok(Vec::new()));
}

#[test]
fn fields_are_well_formed() {
    let header = sign([&b"From: a@example.org\r\n\r\nx\r\n"[..]]);
    let text = String::from_utf8(header).unwrap();
    assert_eq!(text.matches("DKIM-Signature: v=1; a=").count(), 2);
    assert!(text.ends_with("\r\n") && !text.contains("\r\n\r\n"));
    assert!(text.lines().all(|l| l.len() <= 78), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Both algorithms are deterministic, so that equal input shows as equal output.
    #[test]
    fn pieces_do_not_matter(
        header in "((From|to|SUBJECT|X|bad)[ :\t]{0,2}[a: ]{0,9}\r?\n[ \t]{0,2}){0,6}",
        body in "[ab \t\r\n]{0,40}",
        cuts in prop::collection::vec(0_usize..120, 0..8),
    ) {
        let message = format!("{header}\r\n{body}");
        let mut cuts: Vec<_> = cuts.iter().map(|c| (*c).min(message.len())).collect();
        cuts.extend([0, message.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|w| &message.as_bytes()[w[0]..w[1]]);
        prop_assert_eq!(sign(pieces), sign([message.as_bytes()]));
    }

    /// Left out is what this verifier reads otherwise than RFC 6376 §3.4: white space
    /// before a colon, lines of white space alone at the end of a body, and carriage
    /// returns without a line feed.
    #[test]
    fn any_message_verifies(
        fields in prop::collection::vec(
            ("(From|TO|subject|Date|X-Other|List-Id|Content-Type)", "[ -~\u{e4}]{0,20}(\r\n[ \t]{1,3}[!-~]{1,20}){0,3}"),
            1..8,
        ),
        lines in prop::collection::vec("([ \t]{0,2}[!-~\u{e4}]{1,20}[ \t]{0,2}){0,3}", 0..8),
    ) {
        let mut message = String::new();
        for (name, value) in fields {
            message.push_str(&format!("{name}:{value}\r\n"));
        }
        message.push_str(&format!("\r\n{}", lines.join("\r\n")));
        let whole = signed(message.as_bytes());
        prop_assert_eq!(results(&whole), [DkimResult::Pass, DkimResult::Pass]);
    }
}
