"""The history of a conversation as Letta lists it: in steps, whose messages are entries. A page of Letta's ends between
two steps, one of this service's anywhere."""

from collections.abc import Sequence
from itertools import groupby

import msgspec

from adapters.letta.record import NOTICE, StoredMessage, events_in, listed_messages, readable, string, text_in
from domain.model.history import HistoryEntry, seconds_at


class Step(msgspec.Struct, frozen=True):
    """The messages that have this id. What nobody needs to see, as Letta's own notices, is no entry."""

    id: str
    entries: tuple[HistoryEntry, ...]


def steps_of(messages: bytes, newest_first: bool | None) -> Sequence[Step]:
    """Oldest first. `newest_first`: how the steps are listed; None: as their dates say. The messages of one step are
    always listed in their order (recorded, 0.16.8). Raises `msgspec.DecodeError`."""
    stored = readable(listed_messages(messages))
    steps = [(id_, [*step]) for id_, step in groupby(stored, lambda message: string(message.id))]
    if newest_first is None:
        dates = [string(messages[0].date) for _, messages in steps]
        newest_first = dates != sorted(dates)
    return [Step(id_, _entries(id_, messages)) for id_, messages in (reversed(steps) if newest_first else steps)]


def step_of_entry(entry_id: str) -> str:
    """The id of the step that an entry with this id is in."""
    return entry_id.rpartition("-")[0]


def _entries(step: str, messages: Sequence[StoredMessage]) -> tuple[HistoryEntry, ...]:
    entries: list[HistoryEntry] = []
    for number, message in enumerate(messages):
        id_, at = f"{step}-{number}", seconds_at(string(message.date))
        if message.message_type == "user_message":
            if not NOTICE.match(text := text_in(message.content)):
                entries.append(HistoryEntry(id_, at, user=text))
        elif events := tuple(events_in(message)):
            entries.append(HistoryEntry(id_, at, events=events))
    return tuple(entries)
