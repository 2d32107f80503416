"""What was measured, beside what is wanted: the rows, and the page bench/RESULTS.md that they end up on."""

import datetime
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

PAGE = Path(__file__).with_name("RESULTS.md")
_LIBRARIES = ("litestar", "uvicorn", "uvloop", "msgspec", "letta-client", "aiohttp", "httpx")
_INTRODUCTION = """\
# Results of the bench

Written by `make bench` and `make bench-soak`; what is measured and how, their code says (`rows.py`, `soak.py`). The
machine is shared and noisy: only ratios of what was measured in the same run, in turns, say anything. Each is a median.
"""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """`value` is to be `limit` at most, or at least if `at_least`. `portable`: it means the same on any machine."""

    what: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False
    portable: bool = True
    detail: str = ""

    @property
    def off(self) -> float:
        """By what factor the limit is missed; 1 and less is a hit."""
        if self.at_least:
            return self.limit / self.value if self.value else float("inf")
        return self.value / self.limit

    def cells(self) -> tuple[str, str, str, str]:
        """What, measured, wanted, verdict."""
        bound = "≥" if self.at_least else "≤"
        measured = f"**{_number(self.value)}{self.unit}**" + (f" ({self.detail})" if self.detail else "")
        verdict = "yes" if self.off <= 1 else f"no, {self.off:.2f} ×"
        return self.what, measured, f"{bound} {_number(self.limit)}{self.unit}", verdict


def table(rows: Sequence[Row]) -> str:
    lines = ["| what | measured | wanted | reached |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row.cells())} |" for row in rows)]) + "\n"


def write(section: str, rows: Sequence[Row]) -> None:
    """Replace that section of the page."""
    before = PAGE.read_text().split("\n## ")[1:] if PAGE.exists() else []
    kept = {each.partition("\n")[0]: each.partition("\n")[2].strip() + "\n" for each in before}
    kept[section] = f"{_circumstances()}\n\n{table(rows)}"
    PAGE.write_text(_INTRODUCTION + "".join(f"\n## {title}\n\n{text}" for title, text in kept.items()))


def _circumstances() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return (
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} cores, "
        f"Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}; {versions}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
