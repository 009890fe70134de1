"""Real mail servers from Debian, each on its own loopback address."""
