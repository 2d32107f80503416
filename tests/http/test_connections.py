"""Who is waited for, for how long, and who makes way for whom."""

import pytest

from entrypoints.http.connection.limits import Connections, Limits, Wait

LIMITS = Limits(files=4, head=15, next=75, rest=30, reader=120, reader_at_least=5)


class FakeClient:
    """`told` is what it was told; `reads` whether it reads its answer."""

    def __init__(self) -> None:
        self.told: list[Wait] = []
        self.reads = False
        self.aborted = False
        self.made_way = False

    def time_is_up(self, wait: Wait) -> None:
        self.told.append(wait)

    def has_read_on(self) -> bool:
        return self.reads

    def make_way(self) -> None:
        self.made_way = True

    def abort(self) -> None:
        self.aborted = True


def entered(connections: Connections, *times: float) -> list[FakeClient]:
    clients = [FakeClient() for _ in times]
    for client, now in zip(clients, times, strict=True):
        connections.enter(client, now)
    return clients


@pytest.mark.parametrize(("wait", "seconds"), [(Wait.HEAD, 15), (Wait.NEXT, 75), (Wait.REST, 30)])
def test_each_wait_has_its_time(wait: Wait, seconds: float) -> None:
    connections = Connections(LIMITS)
    early, late, busy = entered(connections, 0, 0, 0)
    connections.waits(early, wait, 100)
    connections.waits(late, wait, 101)
    connections.serves(busy)
    connections.expire(100 + seconds - 0.1)
    assert early.told == []
    connections.expire(100 + seconds)
    assert (early.told, late.told, busy.told) == ([wait], [], [])


def test_who_reads_a_little_has_more_time() -> None:
    connections = Connections(LIMITS)
    reading, stuck = entered(connections, 0, 0)
    reading.reads = True
    for client in (reading, stuck):
        connections.serves(client)
        connections.reads(client, 10)
    connections.expire(130)
    assert (reading.aborted, stuck.aborted) == (False, True)
    reading.reads = False
    connections.expire(249)
    assert not reading.aborted
    connections.expire(250)
    assert reading.aborted


def test_who_takes_nothing_of_its_answer_is_waited_for_less_when_the_server_stops() -> None:
    connections = Connections(LIMITS)
    reading, stuck = entered(connections, 0, 0)
    reading.reads = True
    for client in (reading, stuck):
        connections.serves(client)
        connections.reads(client, 10)
    connections.expire(15)
    assert not stuck.aborted
    connections.stop()
    connections.expire(15)
    assert (reading.aborted, stuck.aborted) == (False, True)


def test_who_has_read_everything_is_left_alone() -> None:
    connections = Connections(LIMITS)
    [client] = entered(connections, 0)
    connections.serves(client)
    connections.reads(client, 10)
    connections.has_read(client)
    connections.expire(1000)
    assert not client.aborted


def test_they_make_way_in_the_order_in_which_they_are_missed_least() -> None:
    connections = Connections(LIMITS)
    head, idle, longer_idle, rest = entered(connections, 0, 0, 0, 0)
    connections.waits(longer_idle, Wait.NEXT, 5)
    connections.waits(idle, Wait.NEXT, 6)
    connections.waits(rest, Wait.REST, 7)
    gone = []
    for _ in range(4):
        [asking] = entered(connections, 10)
        gone.append([client.made_way for client in (rest, longer_idle, idle, head)])
    assert gone == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, False],
    ]
    # Who asks for something is better than who has not even asked.
    connections.serves(asking)
    assert connections.has_room(0)
    assert head.made_way


def test_a_request_under_way_counts_twice_and_makes_no_way() -> None:
    connections = Connections(LIMITS)
    busy = entered(connections, 0, 0)
    for client in busy:
        connections.serves(client)
        assert connections.has_room(0)
    [guest] = entered(connections, 0)
    assert not guest.made_way
    connections.serves(guest)
    assert not connections.has_room(0)
    connections.leave(guest)
    connections.leave(busy[0])
    assert connections.has_room(0)
    assert not busy[1].made_way


def test_there_are_only_so_many_guests() -> None:
    connections = Connections(LIMITS)
    clients = entered(connections, *[0.0] * 100)
    assert sum(not client.made_way for client in clients) < 30
    assert not clients[-1].made_way


def test_room_that_guests_have_taken_is_made_before_more_is_given() -> None:
    connections = Connections(LIMITS)
    busy = entered(connections, 0, 0)
    for client in busy:
        connections.serves(client)
    for _ in range(10):
        [refused] = entered(connections, 0)
        connections.waits(refused, Wait.REST, 0)
        [guest] = entered(connections, 0)
        assert not guest.made_way
        connections.serves(guest)
        assert not connections.has_room(0)
        connections.waits(guest, Wait.REST, 0)


def test_who_takes_nothing_of_its_answer_makes_way_when_there_is_no_room() -> None:
    connections = Connections(LIMITS)
    reading, stuck, asking = entered(connections, 0, 0, 0)
    reading.reads = True
    for client in (reading, stuck):
        connections.serves(client)
        connections.reads(client, 10)
    connections.serves(asking)
    assert not connections.has_room(14)
    assert connections.has_room(15)
    assert (reading.aborted, stuck.aborted) == (False, True)


def test_who_has_made_way_takes_room_until_it_has_read_its_answer() -> None:
    connections = Connections(LIMITS)
    unread, busy, asking = entered(connections, 0, 0, 0)
    connections.waits(unread, Wait.NEXT, 0)
    unread.make_way = lambda: connections.reads(unread, 0)  # type: ignore[method-assign]
    connections.serves(busy)
    connections.serves(asking)
    assert not connections.has_room(1)
    connections.leave(unread)
    assert connections.has_room(1)
