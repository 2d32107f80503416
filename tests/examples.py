"""How many examples property tests try: few with every change, many when somebody looks for trouble (`make fuzz`)."""

import os

_TIMES = 50 if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else 1


def examples(usually: int) -> int:
    return usually * _TIMES
