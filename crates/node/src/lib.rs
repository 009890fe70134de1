//! The postrider binary: settings, wiring, health, metrics, administration and the command line.
