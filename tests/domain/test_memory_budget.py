"""MemoryBudget for large messages, in virtual time."""

import asyncio

import pytest

from domain.services.memory_budget import MemoryBudget

pytestmark = pytest.mark.anyio


class Guests:
    """Each stays for a second in a room of 100 bytes; less than 10 need none."""

    def __init__(self) -> None:
        self.inside: list[int] = []
        self.most = 0
        self.order: list[int] = []
        self._room = MemoryBudget(100, small=10)

    async def visit(self, size: int) -> None:
        async with self._room.reserve(size):
            self.inside.append(size)
            self.order.append(size)
            self.most = max(self.most, sum(size for size in self.inside if size >= 10))
            await asyncio.sleep(1)
            self.inside.remove(size)


async def test_so_many_bytes_at_a_time_first_come_first_served() -> None:
    guests = Guests()
    sizes = [60, 50, 40, 30, 90, 10, 100]
    await asyncio.gather(*map(guests.visit, sizes))
    assert guests.order == sizes
    assert guests.most <= 100


async def test_the_small_wait_for_nobody_and_the_largest_are_alone() -> None:
    guests = Guests()
    visits = [asyncio.create_task(guests.visit(size)) for size in (1000, 20, 9, 9)]
    await asyncio.sleep(0.5)
    assert guests.inside == [1000, 9, 9]
    await asyncio.gather(*visits)
    assert guests.order == [1000, 9, 9, 20]


async def test_whoever_gives_up_takes_no_room() -> None:
    guests = Guests()
    visits = [asyncio.create_task(guests.visit(size)) for size in (100, 70, 30)]
    await asyncio.sleep(0.5)
    visits[1].cancel()
    await asyncio.sleep(1)
    assert guests.inside == [30]
    visits[2].cancel()
    await asyncio.gather(*visits, return_exceptions=True)
    await guests.visit(100)
    assert guests.order == [100, 30, 100]
