//! Where mail for a domain goes: the hosts of its MX records in the order to
//! try, their addresses, and what the domain demands of the connection (DANE,
//! MTA-STS).
//!
//! Asks name servers and policy servers, and hands reports about TLS to web servers;
//! never asks a mail server. Holds no queue and
//! decides nothing about retries: it says whether asking again may help.

mod address;
mod dane;
mod destination;
mod dns;
mod error;
mod https;
mod ourselves;
mod route;
mod settings;
pub mod sts;
#[cfg(feature = "testing")]
pub mod testing;
mod tls_report;

pub use dane::{Dane, Tlsa};
pub use destination::{Destination, DestinationError};
pub use dns::unvalidated_resolver;
pub use error::{Error, SetupError};
pub use ourselves::Ourselves;
pub use route::{Host, Resolver, Route};
pub use settings::{Family, NameServer, Settings};
pub use sts::Sts;
pub use tls_report::{PostError, Poster, ReportPlace, TlsReporting};
