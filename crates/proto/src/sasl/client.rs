//! The client's half of PLAIN (RFC 4616) and LOGIN: its lines, in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Error, MAX_LOGIN, MAX_PASSWORD, Secret, text};

/// PLAIN's only message. It names nobody to act as. Fails where login or
/// password cannot be sent: empty login, NUL, too long.
pub fn plain(login: &str, password: &Secret) -> Result<Secret, Error> {
    check(login, password)?;
    let message = format!("\0{login}\0{}", password.expose());
    Ok(Secret::new(STANDARD.encode(message)))
}

/// LOGIN's two messages: the login, then the password. Fails as [`plain`] does.
pub fn login(login: &str, password: &Secret) -> Result<[Secret; 2], Error> {
    check(login, password)?;
    Ok([login, password.expose()].map(|part| Secret::new(STANDARD.encode(part))))
}

fn check(login: &str, password: &Secret) -> Result<(), Error> {
    text(login.as_bytes(), 1, MAX_LOGIN)?;
    text(password.expose().as_bytes(), 0, MAX_PASSWORD)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Exchange, Mechanism, Step};
    use super::*;

    #[test]
    fn a_server_reads_what_the_client_says() {
        let password = Secret::new("pä ss");
        let message = plain("ann", &password).unwrap();
        let (_, step) =
            Exchange::start(Mechanism::Plain, Some(message.expose().as_bytes())).unwrap();
        let Step::Done(read) = step else {
            panic!("{step:?}")
        };
        assert_eq!((read.login.as_str(), &read.password), ("ann", &password));
        assert_eq!(read.authorization_id, None);

        let [name, word] = login("ann", &password).unwrap();
        let (mut exchange, _) = Exchange::start(Mechanism::Login, None).unwrap();
        exchange.respond(name.expose().as_bytes()).unwrap();
        let step = exchange.respond(word.expose().as_bytes()).unwrap();
        let Step::Done(read) = step else {
            panic!("{step:?}")
        };
        assert_eq!((read.login.as_str(), &read.password), ("ann", &password));
    }

    #[test]
    fn what_no_server_reads_is_not_sent() {
        for (name, word) in [("", "x"), ("a\0b", "x"), ("a", "x\0")] {
            assert_eq!(plain(name, &Secret::new(word)), Err(Error::Malformed));
            assert_eq!(login(name, &Secret::new(word)), Err(Error::Malformed));
        }
    }
}
