"""What requests to a backend say of the trace that they are a part of."""

from collections.abc import Callable, Mapping

OutgoingContext = Callable[[], Mapping[str, str]]
"""The headers for a request that is made now; it never raises. Empty where nothing is traced."""
