//! The PROXY protocol, versions 1 and 2, receiving side, sans I/O.
//!
//! Spec: HAProxy "The PROXY protocol", 2020/03/05 (sections 2.1 and 2.2). The
//! parser says how many bytes surely belong to the header, so that the reader
//! takes no byte of what follows it. TLVs are passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// §2.2: opens a header of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// §2.1: the most bytes of a version 1 line with its CRLF.
const LONGEST_V1: usize = 107;
/// `PROXY UNKNOWN\r\n`; a version 2 header is longer still.
const SHORTEST: usize = 15;
/// Our bound on the addresses and TLVs of version 2. Real headers take up to
/// about 600 bytes (certificate names in TLVs).
const LONGEST_V2: usize = 4096;

/// What the proxy says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Client and server address; None for a connection of the proxy's own
    /// (LOCAL, a health check) or of a family without IP (UNKNOWN).
    pub addresses: Option<(SocketAddr, SocketAddr)>,
}

/// How far parsing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The header, and its length in bytes.
    Complete(Header, usize),
    /// The header is at least this long in total, which is more than there is.
    Incomplete(usize),
}

/// Why the bytes are no PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither version's beginning.
    #[error("the connection does not begin with a PROXY protocol header")]
    NotProxy,
    /// A header that breaks the specification, or one above our bound.
    #[error("the PROXY protocol header is malformed: {0}")]
    Malformed(&'static str),
}

/// Parses the beginning of a connection.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    if bytes.is_empty() || bytes.starts_with(&SIGNATURE[..bytes.len().min(12)]) {
        return parse_v2(bytes);
    }
    let word = b"PROXY ";
    if bytes.starts_with(&word[..bytes.len().min(6)]) {
        return parse_v1(bytes);
    }
    Err(Error::NotProxy)
}

fn parse_v1(bytes: &[u8]) -> Result<Parsed, Error> {
    let window = &bytes[..bytes.len().min(LONGEST_V1)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        if bytes.len() >= LONGEST_V1 {
            return Err(Error::Malformed("the line is longer than 107 bytes"));
        }
        return Ok(Parsed::Incomplete(SHORTEST.max(bytes.len() + 1)));
    };
    let line = std::str::from_utf8(&window[..end])
        .map_err(|_| Error::Malformed("the line is not ASCII"))?;
    let mut words = line.split(' ').skip(1);
    let mut next = || words.next().ok_or(Error::Malformed("a word is missing"));
    let addresses = match next()? {
        // §2.1: whatever follows UNKNOWN is to be ignored.
        "UNKNOWN" => None,
        family @ ("TCP4" | "TCP6") => {
            let (source, destination) = (ip(family, next()?)?, ip(family, next()?)?);
            let (from, to) = (port(next()?)?, port(next()?)?);
            if words.next().is_some() {
                return Err(Error::Malformed("there are too many words"));
            }
            Some((
                SocketAddr::new(source, from),
                SocketAddr::new(destination, to),
            ))
        }
        _ => return Err(Error::Malformed("the family is not TCP4, TCP6 or UNKNOWN")),
    };
    Ok(Parsed::Complete(Header { addresses }, end + 2))
}

fn ip(family: &str, word: &str) -> Result<IpAddr, Error> {
    let parsed = if family == "TCP4" {
        word.parse::<Ipv4Addr>().map(IpAddr::V4)
    } else {
        word.parse::<Ipv6Addr>().map(IpAddr::V6)
    };
    parsed.map_err(|_| Error::Malformed("an address does not fit its family"))
}

fn port(word: &str) -> Result<u16, Error> {
    // `parse` would take a leading plus sign.
    if !word.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::Malformed("a port is no number"));
    }
    word.parse()
        .map_err(|_| Error::Malformed("a port is no number up to 65535"))
}

fn parse_v2(bytes: &[u8]) -> Result<Parsed, Error> {
    let Some((head, rest)) = bytes.split_first_chunk::<16>() else {
        // Version 1 is still possible while nothing is there.
        let least = if bytes.is_empty() { SHORTEST } else { 16 };
        return Ok(Parsed::Incomplete(least));
    };
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if length > LONGEST_V2 {
        return Err(Error::Malformed("it is longer than 4096 bytes"));
    }
    let (version, command) = (head[12] >> 4, head[12] & 0x0f);
    if version != 2 {
        return Err(Error::Malformed("the version is not 2"));
    }
    let Some(block) = rest.get(..length) else {
        return Ok(Parsed::Incomplete(16 + length));
    };
    let addresses = match (command, head[13]) {
        // §2.2: LOCAL: the receiver uses the connection's real addresses.
        (0, _) => None,
        // TCP over IPv4, TCP over IPv6.
        (1, 0x11) => Some(addresses_v2::<4>(block)?),
        (1, 0x21) => Some(addresses_v2::<16>(block)?),
        // §2.2: others (UNSPEC, datagrams, Unix sockets) carry nothing that we can use.
        (1, _) => None,
        _ => return Err(Error::Malformed("the command is neither LOCAL nor PROXY")),
    };
    Ok(Parsed::Complete(Header { addresses }, 16 + length))
}

/// Two addresses of `N` bytes, two ports.
fn addresses_v2<const N: usize>(block: &[u8]) -> Result<(SocketAddr, SocketAddr), Error>
where
    IpAddr: From<[u8; N]>,
{
    let short = Error::Malformed("the address block is too short");
    let (source, rest) = block.split_first_chunk::<N>().ok_or(short)?;
    let (destination, rest) = rest.split_first_chunk::<N>().ok_or(short)?;
    let (from, rest) = rest.split_first_chunk::<2>().ok_or(short)?;
    let (to, _) = rest.split_first_chunk::<2>().ok_or(short)?;
    Ok((
        SocketAddr::new((*source).into(), u16::from_be_bytes(*from)),
        SocketAddr::new((*destination).into(), u16::from_be_bytes(*to)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(source: &str, destination: &str, length: usize) -> Result<Parsed, Error> {
        let addresses = Some((source.parse().unwrap(), destination.parse().unwrap()));
        Ok(Parsed::Complete(Header { addresses }, length))
    }

    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
        bytes.extend(block);
        bytes
    }

    #[test]
    fn version_1_tells_both_addresses() {
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\nEHLO";
        assert_eq!(
            parse(line),
            complete("192.0.2.1:56324", "198.51.100.2:25", 44)
        );
        let line = b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n";
        assert_eq!(parse(line), complete("[2001:db8::1]:1", "[::1]:65535", 36));
        let unknown = Ok(Parsed::Complete(Header { addresses: None }, 15));
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), unknown);
    }

    #[test]
    fn version_2_tells_both_addresses_and_skips_tlvs() {
        let block = [192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 4, 0, 25, 3, 0, 1, 9];
        let bytes = v2(0x21, 0x11, &block);
        assert_eq!(
            parse(&bytes),
            complete("192.0.2.1:56324", "198.51.100.2:25", 32)
        );
        let none = Ok(Parsed::Complete(Header { addresses: None }, 16));
        assert_eq!(parse(&v2(0x20, 0, &[])), none);
    }

    #[test]
    fn every_beginning_asks_for_no_more_than_the_header() {
        let block = [192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 4, 0, 25];
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\n".to_vec();
        for whole in [v2(0x21, 0x11, &block), line, b"PROXY UNKNOWN\r\n".to_vec()] {
            for cut in 0..whole.len() {
                match parse(&whole[..cut]) {
                    Ok(Parsed::Incomplete(needs)) => {
                        assert!(needs > cut && needs <= whole.len(), "{cut}: {needs}");
                    }
                    other => panic!("{cut}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn broken_headers_are_refused() {
        for line in [
            &b"EHLO example.org\r\n"[..],
            b"PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n",
            b"PROXY TCP4 192.0.2.1 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n",
            b"PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n",
            b"PROXY\xff UNKNOWN\r\n",
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
        let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
        assert!(parse(&endless).is_err());
        assert!(parse(&v2(0x21, 0x11, &[0; 11])).is_err());
        assert!(parse(&v2(0x31, 0x11, &[0; 12])).is_err());
        assert!(parse(&v2(0x22, 0x11, &[0; 12])).is_err());
        assert!(parse(&v2(0x21, 0x11, &[0; 5000])).is_err());
    }
}
