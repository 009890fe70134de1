//! End-to-end tests over the wire against real nodes.
