"""Servers of our own that do on command what real ones do by accident."""
