//! gRPC between nodes: services, channels, mutual TLS, deadlines and one error table.
