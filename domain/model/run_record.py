"""What a backend has stored of a run, and what it knows of a delivery."""

import msgspec

from domain.model.events import TurnEvent


class RunRecord(msgspec.Struct, frozen=True):
    """What the backend has stored of a run."""

    over: bool
    """Whether nothing more will come. Then the last event is `Ended` or `Failed`."""
    remembered: bool
    """Whether the agent remembers the message (or the verdict, without one), whatever became of the rest."""
    events: tuple[TurnEvent, ...]
    """Those of the steps that are finished."""


class RunSearch(msgspec.Struct, frozen=True):
    """What the backend knows of a delivery."""

    run_id: str | None = None
    """The run that it led to. None: none was found."""
    undecided: bool = False
    """Whether a run is going on there that does not say yet which delivery it belongs to."""
    has_similar: bool = False
    """Whether no stored message has the delivery id, but one with the same text has none, and may be this one."""
