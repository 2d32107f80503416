"""/v1/responses/{id}: a response that was made before. It belongs to the API key that asked for it."""

import re
from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.types import ASGIApp

from domain.model.response import ResponseRecord
from domain.services.background_responses import BackgroundResponses
from domain.services.responses import Responses
from entrypoints.http.api_errors import ApiError
from entrypoints.http.auth import caller_of
from entrypoints.http.responses.answers import as_it_is_now, json_answer, stored_answer
from entrypoints.http.responses.api_docs import PagesOperation, RetrieveOperation
from entrypoints.http.responses.form import ResponseForm
from entrypoints.http.responses.kept_input import listed
from entrypoints.http.responses.pages import Listed, page_of, page_wanted

_NUMBER = re.compile("[0-9]{1,15}")


def stored_handlers(responses: Responses, background: BackgroundResponses) -> list[HTTPRouteHandler]:
    # Functions in a function, because Litestar makes deep copies of methods, collaborators included.
    async def found(request: Request[Any, Any, Any], response_id: str) -> ResponseRecord:
        record = await responses.find(response_id, caller_of(request.scope).id)
        if record is None:
            raise ApiError(
                404,
                f"Response with id {response_id[:100]!r} not found: there is none, or not any more, or it was not "
                "stored, or it belongs to another API key.",
                param="response_id",
                code="response_not_found",
            )
        return record

    @get(
        "/v1/responses/{response_id:str}",
        operation_class=RetrieveOperation,
        summary="A response as it is now, or its events",
        tags=["Responses"],
    )
    async def retrieve_response(request: Request[Any, Any, Any], response_id: FromPath[str]) -> ASGIApp:
        """With `?stream=true`, its events, and those that are still to come; with `&starting_after=N`, from N+1 on."""
        after = _starting_after(request.query_params.get("starting_after"))
        stream = str(request.query_params.get("stream", "")).lower() in ("true", "1")
        record = await found(request, response_id)
        return await stored_answer(responses, ResponseForm(record), stream, after)

    @delete("/v1/responses/{response_id:str}", status_code=200, summary="Forget a response", tags=["Responses"])
    async def delete_response(request: Request[Any, Any, Any], response_id: FromPath[str]) -> Response[bytes]:
        """It is forgotten here; the agent remembers what was said."""
        record = await found(request, response_id)
        await responses.delete(record)
        return json_answer(msgspec.json.encode({"id": record.id, "object": "response", "deleted": True}))

    @post(
        "/v1/responses/{response_id:str}/cancel",
        status_code=200,
        summary="Stop a response that is made in the background",
        tags=["Responses"],
    )
    async def cancel_response(request: Request[Any, Any, Any], response_id: FromPath[str]) -> Response[bytes]:
        """The response as it is then. One that has ended stays as it is."""
        record = await found(request, response_id)
        if not record.background:
            raise ApiError(
                400,
                "Only a response that was created with background: true can be cancelled; close the connection to "
                "stop another one.",
                param="response_id",
            )
        record = await background.cancel(record)
        return json_answer(await as_it_is_now(responses, ResponseForm(record)))

    @get(
        "/v1/responses/{response_id:str}/input_items",
        operation_class=PagesOperation,
        summary="What was sent",
        tags=["Responses"],
    )
    async def list_input_items(request: Request[Any, Any, Any], response_id: FromPath[str]) -> Response[bytes]:
        """Pages of items, the newest first: `limit`, `after`, `order`."""
        wanted = page_wanted(request.query_params)
        record = await found(request, response_id)
        items = [Listed(item["id"], item) for item in listed(await responses.input(record), record.id)]
        return json_answer(page_of(items, wanted))

    return [retrieve_response, delete_response, cancel_response, list_input_items]


def _starting_after(sent: str | None) -> int:
    if sent is None:
        return -1
    if not _NUMBER.fullmatch(sent):
        raise ApiError(400, "starting_after: expected the number of an event, such as 0 or 42.", param="starting_after")
    return int(sent)
