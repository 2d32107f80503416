"""Implementations of the ports. No adapter imports another."""
