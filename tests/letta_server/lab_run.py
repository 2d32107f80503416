"""How long a lab, which is a real server on loopback, runs: for a test run, or until Ctrl-C."""

import os
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import pytest

from tests.letta_server.install import LabUnavailableError


class Lab(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


L = TypeVar("L", bound=Lab)


def for_test_run(make: Callable[[], L], what: str) -> Iterator[L]:
    """For a fixture. Where the lab cannot be had, tests are skipped; in CI that is an error."""
    try:
        lab = make()
    except LabUnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NO {what}: {error}")
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()


def by_hand(lab: Lab, address: Callable[[], str]) -> None:
    """Prints the address; Ctrl-C ends it."""
    try:
        lab.start()
        print(address(), flush=True)
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        pass
    finally:
        lab.stop()
