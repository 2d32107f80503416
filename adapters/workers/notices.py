"""Notices between the workers of one machine: datagrams on sockets that they have from their parent."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

# Bytes; a topic is shorter.
_LARGEST = 512


class WorkerNotices:
    """`ports.Notices`. `own` is read by this worker only, and `others` by one other worker each."""

    def __init__(self, own: socket.socket, others: Sequence[socket.socket]) -> None:
        self._own = own
        self._others = others
        for each in (own, *others):
            each.setblocking(False)

    def tell(self, topic: str) -> None:
        data = topic.encode()
        for other in self._others:
            # Whoever has not read so many notices is going to look anyway.
            with suppress(OSError):
                other.send(data)

    def listen(self, heard: Callable[[str], None]) -> None:
        def read() -> None:
            with suppress(OSError):
                while True:
                    heard(self._own.recv(_LARGEST).decode())

        asyncio.get_running_loop().add_reader(self._own, read)

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._own)
