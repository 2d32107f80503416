"""/api/v1/turns: what turns there are and were, of all processes; live, as a stream; and how one is stopped."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Request, Response, delete, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import ASGIApp, Receive, Scope, Send

from domain.model.api_key import Caller, named_by_client
from domain.model.failures import FailureError
from domain.model.turn_report import TurnOutcome, TurnReport, TurnStage
from domain.services.api_keys import ApiKeys
from domain.services.roster_cache import RosterCache
from domain.services.turn_feed import TurnView
from domain.services.turn_monitor import KEPT_FOR, MOST_KEPT
from domain.services.turn_reports import TurnReports, may_see
from entrypoints.http.api_errors import ApiError
from entrypoints.http.auth import caller_of
from entrypoints.http.native.wire import limit_in, when
from entrypoints.http.request_log import request_log_of
from entrypoints.http.sse import KEEP_ALIVE, in_lines

# Seconds without news after which a stream sends a comment, and between looks whether its key still holds.
_KEEP_ALIVE_EVERY = 15.0
_LOOK_EVERY = 2.0
_TURN_ID = re.compile("turn_[0-9a-f]{1,100}")
# Turns in one piece of a stream.
_MOST_AT_ONCE = 100


class TurnOnWire(msgspec.Struct, frozen=True, rename="camel"):
    """One turn. Times are in UTC, ISO 8601."""

    id: str
    agent_name: str
    agent_id: str
    chat: str | None
    """As its client calls it; null: the agent's default history."""
    key_name: str | None
    """Of the API key; empty: the one without a name; null: it was revoked."""
    state: TurnStage
    place: int
    """Turns that are before it, while it waits."""
    asked_at: str
    sent_at: str | None
    accepted_at: str | None
    first_word_at: str | None
    ended_at: str | None
    outcome: TurnOutcome | None
    code: str | None
    """Of the failure."""
    delivery: str | None
    """Of a turn that failed: whether its message was delivered (`delivered`, `not_delivered`, `unknown`)."""
    prompt_tokens: int
    completion_tokens: int
    tools: Mapping[str, int]
    """How often the agent has called each tool."""
    retries: int
    """Requests that got this turn instead of a second delivery."""
    recovered_from: str | None
    """The code of the failure after which its answer was finished from what the backend had written down."""
    job_id: str | None
    response_id: str | None
    question: str | None
    answer: str | None


class TurnList(msgspec.Struct, frozen=True, rename="camel"):
    """The newest first."""

    turns: list[TurnOnWire]
    has_more: bool


class StoppedTurn(msgspec.Struct, frozen=True):
    """A turn that ends soon."""

    turn: TurnOnWire
    success: bool = True


class _Changed(msgspec.Struct, frozen=True, tag_field="type", tag="turn"):
    turn: TurnOnWire


class _Snapshot(msgspec.Struct, frozen=True, tag_field="type", tag="turns"):
    turns: list[TurnOnWire]


class TurnNames:
    """What turns on the wire are called: by the model names on offer, and the names of API keys."""

    def __init__(self, rosters: RosterCache, keys: ApiKeys) -> None:
        self._rosters = rosters
        self._keys = keys

    async def shown(self, reports: Sequence[TurnReport]) -> list[TurnOnWire]:
        roster = self._rosters.current_or_none
        models = {model.agent.key: model.name for model in roster.models} if roster is not None else {}
        names = await self._keys.names()
        return [_on_wire(each, models.get(each.agent.key), names.get(each.owner)) for each in reports]


def turn_handlers(reports: TurnReports, rosters: RosterCache, keys: ApiKeys) -> list[HTTPRouteHandler]:
    names = TurnNames(rosters, keys)

    @get("/turns", summary="The turns that go on, and the last ones", tags=["LettaBot"])
    async def list_turns(request: Request[Any, Any, Any]) -> TurnList:
        """Of all processes that share the state, the newest first, for an hour. `limit` (2000 at most, 50 without it);
        `since`: only those asked for since then, in seconds since 1970. Other keys' turns are for admins only."""
        limit = limit_in(request.query_params, most=MOST_KEPT)
        since = _since_in(request.query_params.get("since"))
        found = await reports.recent(caller_of(request.scope), since, limit + 1)
        return TurnList(await names.shown(found[:limit]), len(found) > limit)

    @get("/turns/stream", summary="The same, live", tags=["LettaBot"])
    async def stream_turns(request: Request[Any, Any, Any]) -> ASGIApp:
        """Server-Sent Events: `{"type":"turns","turns":[...]}` at first, then `{"type":"turn","turn":{...}}` for each
        that changes. It does not end by itself."""
        request_log_of(request.scope).stream = True
        return TurnStream(reports, names, keys, caller_of(request.scope))

    @delete("/turns/{turn_id:str}", status_code=202, summary="Stop a turn", tags=["LettaBot"])
    async def stop_turn(request: Request[Any, Any, Any], turn_id: FromPath[str]) -> Response[StoppedTurn]:
        """Its clients are told that it was cancelled, and what became of the message; its agent stops as soon as it
        can."""
        # No other text is an id, and databases do not take every text.
        report = await reports.find(turn_id, caller_of(request.scope)) if _TURN_ID.fullmatch(turn_id) else None
        if report is None:
            raise ApiError(404, "There is no such turn. Turns are listed for an hour after they have ended.")
        if report.stage in (TurnStage.ENDED, TurnStage.LOST):
            raise ApiError(409, f"This turn cannot be stopped: it is {report.stage}.", code="turn_ended")
        await reports.stop(report)
        [shown] = await names.shown([await reports.find(turn_id, caller_of(request.scope)) or report])
        return Response(StoppedTurn(shown), status_code=202)

    return [list_turns, stream_turns, stop_turn]


class TurnStream:
    """An ASGI application: one who watches turns, until the client or the service goes, or the key holds no more."""

    def __init__(self, reports: TurnReports, names: TurnNames, keys: ApiKeys, caller: Caller) -> None:
        self._reports = reports
        self._names = names
        self._keys = keys
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        view = self._reports.watch()
        watching = asyncio.create_task(_watch(receive, view))
        try:
            # Read before anything is sent: a state that cannot be read is an error with a status.
            snapshot = await self._reports.recent(self._caller, time.time() - KEPT_FOR, MOST_KEPT)
            first = msgspec.json.encode(_Snapshot(await self._names.shown(snapshot)))
            headers = [
                (b"content-type", b"text/event-stream; charset=utf-8"),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await _send(send, _event(first))
            await self._go_on(view, send)
            if not view.is_closed or not watching.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            watching.cancel()
            view.close()

    async def _go_on(self, view: TurnView, send: Send) -> None:
        now = asyncio.get_running_loop().time
        quiet_until = now() + _KEEP_ALIVE_EVERY
        while not view.is_closed and await self._holds():
            changed = [each for each in await view.take(_LOOK_EVERY) if may_see(self._caller, each)]
            for begin in range(0, len(changed), _MOST_AT_ONCE):
                shown = await self._names.shown(changed[begin : begin + _MOST_AT_ONCE])
                await _send(send, b"".join([_event(msgspec.json.encode(_Changed(turn))) for turn in shown]))
            if changed:
                quiet_until = now() + _KEEP_ALIVE_EVERY
            elif now() >= quiet_until:
                await _send(send, KEEP_ALIVE)
                quiet_until = now() + _KEEP_ALIVE_EVERY

    async def _holds(self) -> bool:
        try:
            return not self._caller.id or await self._keys.holder(self._caller.id) is not None
        except FailureError:
            # Nobody is taken for revoked because that cannot be known.
            return True


async def _watch(receive: Receive, view: TurnView) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    view.close()


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _event(encoded: bytes) -> bytes:
    return b"data: " + in_lines(encoded) + b"\n\n"


def _since_in(value: str | None) -> float:
    if value is None:
        return 0.0
    try:
        return float(value) if value[:1].isdigit() and "-" not in value else _seconds(value)
    except (ValueError, OverflowError):
        raise ApiError(
            400, "since: expected seconds since 1970, or a time such as 2026-01-31T12:00:00Z.", param="since"
        ) from None


def _seconds(value: str) -> float:
    at = datetime.fromisoformat(value)
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def _on_wire(report: TurnReport, model: str | None, key_name: str | None) -> TurnOnWire:
    failure = report.failure
    return TurnOnWire(
        id=report.id,
        agent_name=model or report.agent.name or report.agent.id,
        agent_id=report.agent.id,
        chat=named_by_client(report.chat),
        key_name=key_name,
        state=report.stage,
        place=report.place,
        asked_at=when(report.asked_at) or "",
        sent_at=when(report.sent_at),
        accepted_at=when(report.accepted_at),
        first_word_at=when(report.first_word_at),
        ended_at=when(report.ended_at),
        outcome=report.outcome,
        code=None if failure is None else str(failure.code),
        delivery=None if failure is None else str(failure.delivery),
        prompt_tokens=report.prompt_tokens,
        completion_tokens=report.completion_tokens,
        tools=report.tools,
        retries=report.retries,
        recovered_from=report.recovered_from,
        job_id=report.job,
        response_id=report.response,
        question=report.question,
        answer=report.answer,
    )
