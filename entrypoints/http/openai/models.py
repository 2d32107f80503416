"""GET /v1/models and /v1/models/{model}: the roster, as OpenAI models."""

from typing import Any
from urllib.parse import unquote

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ASGIApp, Receive, Scope, Send

from domain.model.api_key import EVERYBODY, Caller
from domain.model.roster import Model, Roster
from domain.services.roster_cache import RosterCache
from entrypoints.http.auth import caller_of
from entrypoints.http.openai.completion import ModelCard, ModelList


class _ListOf:
    """The answer to all who ask while this is the roster, encoded once; or to one caller. An ASGI application."""

    def __init__(self, roster: Roster, caller: Caller = EVERYBODY) -> None:
        self.roster = roster
        self._body = msgspec.json.encode(ModelList(data=tuple(_card(model) for model in roster.of(caller))))
        self._headers = [(b"content-type", b"application/json"), (b"content-length", str(len(self._body)).encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A list of its own, because CORS adds to it.
        await send({"type": "http.response.start", "status": 200, "headers": [*self._headers]})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


def list_handler(rosters: RosterCache) -> HTTPRouteHandler:
    list_: _ListOf | None = None

    @get(
        "/v1/models",
        summary="List the agents, as models",
        tags=["OpenAI"],
        responses={200: ResponseSpec(ModelList, description="The list", generate_examples=False)},
    )
    async def list_models(request: Request[Any, Any, Any]) -> ASGIApp:
        """The agents on offer, as models. The first one answers requests that name no model."""
        nonlocal list_
        roster = await rosters.current()
        if (caller := caller_of(request.scope)).agents:
            return _ListOf(roster, caller)
        if list_ is None or list_.roster is not roster:
            list_ = _ListOf(roster)
        return list_

    return list_models


@get("/v1/models/{model:path}", summary="One agent", tags=["OpenAI"])
async def retrieve_model(request: Request[Any, Any, Any], rosters: NamedDependency[RosterCache]) -> ModelCard:
    """One agent, by its model name or its id; names may hold slashes and blanks, percent-encoded."""
    # Taken from the raw path: the decoded one has lost which slashes belong to the name.
    _, _, name = request.scope["raw_path"].decode("latin-1").partition("/v1/models/")
    return _card(await rosters.resolve(unquote(name.rstrip("/")), caller_of(request.scope)))


def _card(model: Model) -> ModelCard:
    return ModelCard(id=model.name, created=model.agent.created_at)
