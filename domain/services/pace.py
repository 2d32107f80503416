"""How long the turns of each agent took lately, and so when a client that was refused should come back."""

import random
from collections import OrderedDict
from collections.abc import Callable

# Of so many agents; those whose last turn is longest ago are forgotten.
_AGENTS = 1000
# What the newest turn weighs against all those before.
_NEWEST = 0.3
# Seconds. A client that comes back after the first, of whose agent nothing was known, is told something better then.
_UNKNOWN = 2.0
_SHORTEST = 1.0
_LONGEST = 40.0
# Clients that are refused together come back over a span: half of the wait, or these seconds.
_SPAN = 2.0


class Pace:
    """All times are in seconds. `jitter` yields numbers from 0 to 1."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._took: OrderedDict[str, float] = OrderedDict()

    def took(self, agent_id: str, seconds: float) -> None:
        """A turn of this agent has ended, that long after it came to the head of its lane."""
        before = self._took.pop(agent_id, seconds)
        self._took[agent_id] = before + _NEWEST * (seconds - before)
        if len(self._took) > _AGENTS:
            self._took.popitem(last=False)

    def come_back_after(self, agent_id: str, turns: int, running_for: float = 0.0) -> int:
        """From 1 to 60: about as long as so many turns take, of which the first has been running for a while."""
        one = self._took.get(agent_id)
        wait = max(_UNKNOWN, running_for * turns) if one is None else max(one * turns, running_for)
        wait = min(max(wait, _SHORTEST), _LONGEST)
        return round(wait + self._jitter() * max(_SPAN, wait / 2))
