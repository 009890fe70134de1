//! The postrider binary: settings, wiring, health, metrics, administration and
//! the command line.
//!
//! The only crate that names a metadata backend. [`Node`] is a whole node in a
//! process; the command line starts one or talks to one.

pub mod cli;
pub mod settings;

mod admin;
mod backend;
mod background;
mod bound;
mod certificate;
mod client;
mod cluster;
mod counts;
mod date;
mod dir;
mod figures;
mod gateway;
mod health;
mod http;
mod keys;
mod leases;
mod logs;
mod moment;
mod node;
mod open_files;
mod ownership;
mod quickstart;
mod random;
mod services;
mod telemetry;
mod web;

pub use bound::Bound;
pub use node::Node;
pub use quickstart::{PASSWORD, quickstart_settings, seed};
pub use settings::Settings;
