//! Outbound mail: due entries of the queue are leased, delivered to other
//! servers, tried again, and given back to their senders where that is in vain.
//!
//! Owns the [`Courier`] that does this on each node, the schedule, and the
//! [`Gateway`] that asks servers behind this one about recipients. The queue
//! itself lies in the metadata; where mail goes is asked of `route`, how it is
//! handed over is `relay`'s.

mod addresses;
mod authorities;
mod collector;
mod content;
mod courier;
mod delivery;
mod demand;
mod gateway;
mod grip;
mod hands;
mod lane;
mod line;
mod notice;
mod outcomes;
mod pace;
mod plan;
mod policies;
mod prepare;
mod renewal;
mod roster;
mod route;
mod schedule;
mod seal;
mod settings;
mod settle;
mod signing;
mod slots;
mod tls_report;
mod trouble;

pub use courier::{Courier, Handles, Wake};
pub use gateway::{Gateway, GatewaySettings};
pub use settings::{LimitTo, Pattern, RouteTls, RouteTo, Settings, Span};
pub use tls_report::{ReportError, Reported, TlsReporter};
