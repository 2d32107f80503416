"""Where turns are written down before they are delivered. tests/contract states what every ledger must do."""

from typing import Protocol

from domain.model.turn_record import TurnRecord


class TurnLedger(Protocol):
    """Keys are digests of what a retry is recognised by. What is to be forgotten by now is not there.

    Every method raises `BackendError` (`state_unavailable`, nothing delivered) if it cannot be read or written."""

    async def take(self, key: str, record: TurnRecord) -> TurnRecord | None:
        """Write it down, unless there is a record of that key: then return that one."""
        ...

    async def replace(self, key: str, record: TurnRecord) -> None:
        """Write it down in place of what there may be."""
        ...

    async def free(self, key: str) -> None:
        """Nothing was delivered: forget the record."""
        ...
