"""What a client gets of a response that there is already: the response as it is now, or its events from some number
on."""

import asyncio
from collections.abc import Callable
from functools import partial

from litestar import MediaType, Response
from litestar.types import ASGIApp, Receive, Scope, Send

from domain.model.events import Accepted, Ended
from domain.services.responses import Responses
from domain.services.turn_log import TurnLog
from entrypoints.http.answer import Answer
from entrypoints.http.responses.events import NO_EVENTS, ResponseEncoder, whole_response
from entrypoints.http.responses.form import ResponseForm

_AT_ONCE = 1_000


async def stored_answer(
    responses: Responses,
    form: ResponseForm,
    stream: bool,
    after: int = -1,
    leave: Callable[[bool], None] = lambda got_all: None,
) -> ASGIApp:
    """`after`: the number of the last event that the client has. `leave`: see `Answer`. Raises `FailureError`."""
    if stream:
        return _Followed(responses, form, after, leave)
    body = await as_it_is_now(responses, form)
    return Answer(TurnLog([Accepted(), Ended()]).reader(), lambda events: body, None, leave=leave)


async def as_it_is_now(responses: Responses, form: ResponseForm) -> bytes:
    """The object. Raises `FailureError`."""
    log = await responses.log(form.record)
    encoder = ResponseEncoder(form, lambda: log.ended_at, after=NO_EVENTS)
    events = list(log.events)
    for start in range(0, len(events), _AT_ONCE):
        encoder.encode(events[start : start + _AT_ONCE])
        await asyncio.sleep(0)
    return whole_response((), encoder)


class _Followed:
    """An ASGI application. Whoever reads here is waited for by nobody, and stops nothing when it leaves."""

    def __init__(self, responses: Responses, form: ResponseForm, after: int, leave: Callable[[bool], None]) -> None:
        self._responses = responses
        self._form = form
        self._after = after
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._responses.follow(self._form.record) as reader:
            encoder = ResponseEncoder(self._form, lambda: reader.ended_at, after=self._after)
            whole = partial(whole_response, encoder=encoder)
            answer = Answer(reader, whole, encoder, leave=self._leave, error_of=lambda failure: None)
            await answer(scope, receive, send)


def json_answer(body: bytes) -> Response[bytes]:
    """Encoded already."""
    return Response(body, media_type=MediaType.JSON)
