"""How long a job waits before it is tried again."""

import random

# Seconds between two tries: at first, at most while something is away, and at most.
FIRST_PAUSE = 1.0
AWAY_PAUSE = 15.0
LONGEST_PAUSE = 300.0


def pause_after(tries: int, longest: float) -> float:
    """In seconds. Each pause is about twice as long as the one before."""
    return min(FIRST_PAUSE * 2.0 ** min(tries - 1, 20), longest) * random.uniform(0.8, 1.0)  # noqa: S311
