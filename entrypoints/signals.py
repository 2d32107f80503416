"""The signals that end the service, and what they do before it can end in order."""

import os
import signal
from types import FrameType


def ending_signals() -> tuple[signal.Signals, ...]:
    """Also the hang-up of a terminal, unless it is ignored: that is what nohup does."""
    hang_up: signal.Signals | None = getattr(signal, "SIGHUP", None)
    if hang_up is None or signal.getsignal(hang_up) is signal.SIG_IGN:
        return signal.SIGINT, signal.SIGTERM
    return signal.SIGINT, signal.SIGTERM, hang_up


def end_at_once_when_asked() -> None:
    """For the first moments: nothing has begun yet, so there is nothing to say and nothing to put in order."""
    for sign in ending_signals():
        signal.signal(sign, _end)


def _end(_: int, __: FrameType | None) -> None:
    # An exception would come out of the middle of an import, as a traceback.
    os._exit(0)
