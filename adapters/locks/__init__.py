"""Locks between the processes of one machine."""
