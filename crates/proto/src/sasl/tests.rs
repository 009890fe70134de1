//! Exchanges as clients lead them, and what must be refused.

use proptest::prelude::*;

use super::*;

fn b64(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    STANDARD.encode(bytes).into_bytes()
}

fn credentials(step: Step) -> Credentials {
    match step {
        Step::Done(credentials) => credentials,
        Step::Challenge(text) => panic!("a challenge: {text:?}"),
    }
}

#[test]
fn plain_with_initial_response() {
    let (_, step) =
        Exchange::start(Mechanism::Plain, Some(&b64("\0ann@example.test\0pä ss"))).unwrap();
    let got = credentials(step);
    assert_eq!(got.authorization_id, None);
    assert_eq!(got.login, "ann@example.test");
    assert_eq!(got.password.expose(), "pä ss");
    assert!(!format!("{got:?}").contains("ss\""), "{got:?}");
}

#[test]
fn plain_after_an_empty_challenge() {
    let (mut exchange, step) = Exchange::start(Mechanism::Plain, None).unwrap();
    assert_eq!(step, Step::Challenge(""));
    let got = credentials(exchange.respond(&b64("bob\0ann\0secret")).unwrap());
    assert_eq!(got.authorization_id.as_deref(), Some("bob"));
    assert_eq!(got.login, "ann");
    assert_eq!(exchange.respond(&b64("\0a\0b")), Err(Error::Malformed));
}

#[test]
fn login_asks_for_name_and_password() {
    let (mut exchange, step) = Exchange::start(Mechanism::Login, None).unwrap();
    assert_eq!(step, Step::Challenge("VXNlcm5hbWU6"));
    let step = exchange.respond(&b64("ann")).unwrap();
    assert_eq!(step, Step::Challenge("UGFzc3dvcmQ6"));
    let got = credentials(exchange.respond(&b64("secret")).unwrap());
    assert_eq!(
        (got.login.as_str(), got.password.expose()),
        ("ann", "secret")
    );
    // Some clients send the name along.
    let (_, step) = Exchange::start(Mechanism::Login, Some(&b64("ann"))).unwrap();
    assert_eq!(step, Step::Challenge("UGFzc3dvcmQ6"));
}

#[test]
fn refusals() {
    let plain = |line: &[u8]| Exchange::start(Mechanism::Plain, Some(line)).map(|(_, s)| s);
    assert_eq!(plain(b"*"), Err(Error::Cancelled));
    assert_eq!(plain(b"="), Err(Error::Malformed));
    assert_eq!(plain(b"!!!"), Err(Error::Base64));
    assert_eq!(plain(b"AGEAYg"), Err(Error::Base64)); // padding is required
    assert_eq!(plain(&vec![b'A'; MAX_LINE + 4]), Err(Error::TooLong));
    for bad in ["a", "\0a", "\0\0p", "\0a\0p\0", "\0a\0p\0q"] {
        assert_eq!(plain(&b64(bad)), Err(Error::Malformed), "{bad:?}");
    }
    assert_eq!(plain(&b64(b"\0\xff\0p")), Err(Error::Malformed));
    let long = format!("\0{}\0p", "a".repeat(MAX_LOGIN + 1));
    assert_eq!(plain(&b64(long)), Err(Error::Malformed));
    let long = format!("\0a\0{}", "p".repeat(MAX_PASSWORD + 1));
    assert_eq!(plain(&b64(long)), Err(Error::Malformed));

    let (mut exchange, _) = Exchange::start(Mechanism::Login, None).unwrap();
    assert_eq!(exchange.respond(b""), Err(Error::Malformed));
    assert_eq!(exchange.respond(&b64("ann")), Err(Error::Malformed));
    let (mut exchange, _) = Exchange::start(Mechanism::Login, None).unwrap();
    assert_eq!(exchange.respond(&b64("a\0b")), Err(Error::Malformed));
}

#[test]
fn mechanism_names() {
    assert_eq!(Mechanism::parse(b"plain"), Some(Mechanism::Plain));
    assert_eq!(Mechanism::parse(b"LogIn"), Some(Mechanism::Login));
    assert_eq!(Mechanism::parse(b"CRAM-MD5"), None);
    assert_eq!(Mechanism::parse(b""), None);
}

proptest! {
    #[test]
    fn any_line_is_answered(lines in proptest::collection::vec(any::<Vec<u8>>(), 1..4), login: bool) {
        let mechanism = if login { Mechanism::Login } else { Mechanism::Plain };
        if let Ok((mut exchange, _)) = Exchange::start(mechanism, None) {
            for line in lines {
                let _ = exchange.respond(&line);
                let _ = exchange.respond(&b64(&line));
            }
        }
    }

    #[test]
    fn plain_round_trip(id in "[^\0]{0,20}", login in "[^\0]{1,40}", password in "[^\0]{0,40}") {
        let line = b64(format!("{id}\0{login}\0{password}"));
        let (_, step) = Exchange::start(Mechanism::Plain, Some(&line)).unwrap();
        let got = credentials(step);
        prop_assert_eq!(got.authorization_id.unwrap_or_default(), id);
        prop_assert_eq!(got.login, login);
        prop_assert_eq!(got.password.expose(), password);
    }
}
