"""What all test peers need: packages, an isolated network, processes, certificates."""
