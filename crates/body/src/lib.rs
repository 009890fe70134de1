//! Message bodies between metadata and objects: intake, reading, packing and sweeping.
