//! Logins of all protocols: verification, throttling, password hashing.
