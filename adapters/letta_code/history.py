"""What the App Server has stored of a delivery: found in the list of messages by its otid, the id of the message."""

import re
from collections.abc import Sequence

import msgspec

from adapters.letta_code.conversation import TurnEnd, name_of
from adapters.letta_code.failures import UNFINISHED, failure_of_turn
from adapters.letta_code.frames import StoredMessage, text_of
from adapters.letta_code.message_events import events_in
from adapters.letta_code.turn_stream import ENDED_WELL
from domain.model.events import Ended, Failed, Reasoning, Text, TurnEvent
from domain.model.failure_table import FailureCode
from domain.model.failures import Delivery, Failure
from domain.model.history import HistoryEntry, seconds_at
from domain.model.run_record import RunRecord

# What Letta Code itself puts before a user's words (recorded).
_REMINDERS = re.compile(r"(?:\s*<system-reminder>.*?</system-reminder>)+\s*", re.DOTALL)

_decoder = msgspec.json.Decoder(StoredMessage)


def stored(raw: Sequence[msgspec.Raw]) -> list[StoredMessage]:
    """As the server lists them, the newest first; what cannot be read is left out."""
    messages = []
    for each in raw:
        try:
            messages.append(_decoder.decode(each))
        except msgspec.DecodeError:
            messages.append(StoredMessage())
    return messages


def answer_to(messages: Sequence[StoredMessage], name: str) -> list[StoredMessage] | None:
    """What follows the last copy of this message, up to the next one of a user, the oldest first; None: it is not
    there."""
    answer: list[StoredMessage] = []
    for message in messages:
        if message.message_type == "user_message":
            if name_of(message.otid or "") == name:
                return answer[::-1]
            answer = []
        else:
            answer.append(message)
    return None


def entries_of(messages: Sequence[StoredMessage]) -> Sequence[HistoryEntry]:
    """The same list as entries, the oldest first."""
    entries: list[HistoryEntry] = []
    for message in reversed(messages):
        # What has no id has a date.
        id_ = f"{message.id or message.date}-{message.message_type}-{message.tool_call_id or ''}"
        at = seconds_at(message.date or "")
        if message.message_type == "user_message":
            entries.append(HistoryEntry(id_, at, user=_without_reminders(text_of(message.content))))
        elif events := tuple(events_in(message)):
            entries.append(HistoryEntry(id_, at, events=events))
    return entries


def _without_reminders(text: str) -> str:
    found = _REMINDERS.match(text)
    return text[found.end() :] if found else text


def record_of(
    answer: Sequence[StoredMessage] | None, end: TurnEnd | None, is_running: bool, is_known: bool
) -> RunRecord | None:
    """`end`: how its turn ended, if that was seen. A half answer is stored like a whole one, so where the end
    was not seen, it is not taken for one. `is_known`: the server has the message, in its queue at least."""
    if answer is None:
        if end is not None and not is_running:
            return RunRecord(True, False, (Failed(_failure(end)),))
        return RunRecord(False, False, ()) if is_running or is_known else None
    events = [event for message in answer for event in events_in(message)]
    if is_running:
        return RunRecord(False, True, tuple(_finished_steps(events)))
    if end is not None and end.stop_reason in ENDED_WELL:
        return RunRecord(True, True, (*events, Ended(end.stop_reason == "max_tokens_exceeded")))
    failure = Failure(FailureCode.CONNECTION_LOST, Delivery.YES, "its end was not seen", detail=UNFINISHED, final=True)
    return RunRecord(True, True, (*_finished_steps(events), Failed(failure if end is None else _failure(end))))


def _failure(end: TurnEnd) -> Failure:
    if end.failure is not None:
        return end.failure
    if end.stop_reason == "cancelled":
        return Failure(FailureCode.CANCELLED, Delivery.YES, "it was stopped")
    return failure_of_turn(end.stop_reason, is_begun=True)


def _finished_steps(events: Sequence[TurnEvent]) -> Sequence[TurnEvent]:
    """Without the words at the end: these may be half, and the agent forgets them then."""
    end = len(events)
    while end and isinstance(events[end - 1], Text | Reasoning):
        end -= 1
    return events[:end]
