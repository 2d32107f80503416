"""The error of a service that cannot start. It is apart, so that catching it costs no import."""


class CannotStartError(Exception):
    """The message says why, for the operator, and what to do."""
