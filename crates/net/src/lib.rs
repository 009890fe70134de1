//! Connections: listeners, TLS, the PROXY protocol, limits and draining.
