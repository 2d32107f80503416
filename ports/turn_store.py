"""Where turns are written down before they are delivered. tests/contract states what every such store must do."""

from typing import Protocol

from domain.model.turn_record import History, TurnRecord


class TurnStore(Protocol):
    """Keys are digests of what a retry is recognised by. What is to be forgotten by now is not there. Changes are made
    in the order in which they are asked for.

    Every method raises `FailureError` (`state_unavailable`, nothing delivered) if it cannot be read or written."""

    async def claim(self, key: str, record: TurnRecord) -> TurnRecord | None:
        """Write it down, unless there is a record of that key: then return that one."""
        ...

    async def history(self, lane: str, apart_from: str) -> History:
        """What was said in that lane, as far as it is remembered, but for the delivery with that id."""
        ...

    async def replace(self, key: str, record: TurnRecord, delivery_id: str) -> None:
        """Write it down in place of the record of that delivery; nothing happens if there is none, or another one."""
        ...

    async def revoke(self, key: str, delivery_id: str) -> None:
        """Forget the record of this delivery, if there is one, and nothing has become of it."""
        ...

    async def release(self, key: str, delivery_id: str) -> None:
        """Nothing was delivered: forget the record, if it is still that of this delivery."""
        ...
