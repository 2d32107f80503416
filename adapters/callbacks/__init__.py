"""Tells whoever asked for a job that it is finished."""
