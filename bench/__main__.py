"""`python -m bench [full | quick | shared | soak | smoke]`: measures, prints, and writes bench/RESULTS.md; smoke only
judges."""

import argparse
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench import rows, shared
from bench.contenders import Contenders, contenders, other
from bench.results import Row, table, write
from bench.soak import soak

AGENTS = 64
# By this factor a ratio may miss its target before a smoke run fails: it is for what broke, not for what is slow today.
TOLERANCE = 3.0

Part = Callable[[Contenders, int], Awaitable[list[Row]]]
_QUICK: tuple[Part, ...] = (rows.streamed_chunks, rows.responses, rows.metrics, rows.http_layer, rows.latency)
_FULL: tuple[Part, ...] = (*_QUICK, rows.history, rows.growth)


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    arguments.add_argument("what", nargs="?", choices=["full", "quick", "shared", "soak", "smoke"], default="full")
    arguments.add_argument("--beside", metavar="URL", help="another server with OpenAI's API, http://.../v1")
    arguments.add_argument("--key", default="", help="its API key")
    arguments.add_argument(
        "--models", default="default", help="its models, with commas between: one turn at a time each"
    )
    arguments.add_argument("--postgres", metavar="URL", default="", help="an empty database, for shared")
    asked = arguments.parse_args()
    began = time.monotonic()
    if asked.what == "soak":
        measured = uvloop.run(soak())
        write("Thousands of slow streams", measured)
    elif asked.what == "shared":
        with TemporaryDirectory() as directory, contenders(Path(directory), AGENTS) as all_:
            measured = uvloop.run(shared.shared_state(all_, 5, asked.postgres))
        write("Sharing the state", measured)
    else:
        full, smoke = asked.what == "full", asked.what == "smoke"
        with TemporaryDirectory() as directory, contenders(Path(directory), AGENTS) as all_:
            parts = _FULL if full else (*_QUICK, shared.plain_turns) if smoke else _QUICK
            measured = uvloop.run(_parts(all_, parts, 2 if smoke else 5))
            if smoke and _broken(measured):
                # Slow for a moment, or broken? The machine may have had other things to do.
                measured = uvloop.run(_parts(all_, parts, 5))
            measured += rows.cold_start(all_, 5 if full else 1)
            if asked.beside:
                models = asked.models.split(",")
                stranger = other(asked.beside, asked.key, models)
                measured += uvloop.run(rows.beside(all_, stranger, len(models), 5))
        if not smoke:
            write("Ratios and start-up", measured)
    print(table(measured))
    print(f"{time.monotonic() - began:.0f} s")
    broken = _broken(measured) if asked.what == "smoke" else []
    for row in broken:
        print(f"More than {TOLERANCE:g} times off: {row.what}", file=sys.stderr)
    return 1 if broken else 0


async def _parts(all_: Contenders, parts: tuple[Part, ...], rounds: int) -> list[Row]:
    return [row for part in parts for row in await part(all_, rounds)]


def _broken(measured: list[Row]) -> list[Row]:
    return [row for row in measured if row.portable and row.off > TOLERANCE]


if __name__ == "__main__":
    sys.exit(main())
