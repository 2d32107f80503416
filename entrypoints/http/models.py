"""GET /v1/models and /v1/models/{model}: the roster, as OpenAI models."""

from typing import Any
from urllib.parse import unquote

from litestar import Request, get
from litestar.di import NamedDependency

from domain.model.roster import Model
from domain.services.rosters import Rosters
from entrypoints.http.chat_completion import ModelCard, ModelList


@get("/v1/models", summary="List the agents, as models", tags=["OpenAI"])
async def list_models(rosters: NamedDependency[Rosters]) -> ModelList:
    """The agents on offer, as models. The first one answers requests that name no model."""
    roster = await rosters.current()
    return ModelList(data=tuple(_card(model) for model in roster.models))


@get("/v1/models/{model:path}", summary="One agent", tags=["OpenAI"])
async def retrieve_model(request: Request[Any, Any, Any], rosters: NamedDependency[Rosters]) -> ModelCard:
    """One agent, by its model name or its id; names may hold slashes and blanks, percent-encoded."""
    # Taken from the raw path: the decoded one has lost which slashes belong to the name.
    _, _, name = request.scope["raw_path"].decode("latin-1").partition("/v1/models/")
    return _card(await rosters.resolve(unquote(name.rstrip("/"))))


def _card(model: Model) -> ModelCard:
    return ModelCard(id=model.name, created=model.agent.created_at)
