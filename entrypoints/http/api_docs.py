"""The API described: /openapi.json, and /docs, whose page comes from an installed package and needs no internet."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from litestar import MediaType, Request, Router, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import (
    Components,
    Example,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
    Server,
)
from litestar.static_files import create_static_files_router

_ASSETS = "/docs-assets"
# As the page names it: whoever is behind a proxy that adds something in front of all paths finds it, too.
_BESIDE = "./docs-assets"

_CHAT_SCHEMA = Schema(
    type=OpenAPIType.OBJECT,
    required=["messages"],
    properties={
        "model": Schema(
            type=[OpenAPIType.STRING, OpenAPIType.NULL],
            description="An agent's model name or id. Missing, null or empty: the first agent.",
        ),
        "messages": Schema(
            type=OpenAPIType.ARRAY,
            description="Only the last message with the role 'user' is delivered, also of several in a row; the agent "
            "remembers the rest itself.",
            items=Schema(
                type=OpenAPIType.OBJECT,
                required=["role"],
                properties={
                    "role": Schema(type=OpenAPIType.STRING),
                    "content": Schema(description="A string, or an array of parts: 'text' and 'image_url'."),
                },
            ),
        ),
        "stream": Schema(
            type=[OpenAPIType.BOOLEAN, OpenAPIType.NULL],
            default=False,
            description="True: Server-Sent Events, token by token, up to [DONE].",
        ),
        "tools": Schema(
            type=OpenAPIType.ARRAY,
            items=Schema(),
            description="Ignored: tools belong to the agent. If not empty, the agent's own tool calls are not shown.",
        ),
    },
    additional_properties=True,
    description="Every other parameter of OpenAI's API is accepted and has no effect.",
)

_QUESTION = [{"role": "user", "content": "What's on my todo list?"}]
_CHAT_EXAMPLES = {
    "sync": Example(summary="The whole answer", value={"model": "lettabot", "messages": _QUESTION}),
    "stream": Example(summary="A stream", value={"model": "lettabot", "messages": _QUESTION, "stream": True}),
}

_COMPLETION_EXAMPLE = {
    "id": "chatcmpl-8d7f5b1a4c3e4f0b9a6d2c1e0f9b8a7d",
    "object": "chat.completion",
    "created": 1740000000,
    "model": "lettabot",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Water the plants.", "refusal": None},
            "finish_reason": "stop",
        }
    ],
    "usage": None,
}
ERROR_EXAMPLE = {
    "error": {
        "message": "The agent backend cannot be reached at the moment. Nothing was delivered.",
        "type": "api_error",
        "param": None,
        "code": "backend_unavailable",
    }
}
_STREAM_EXAMPLE = (
    'data: {"id":"chatcmpl-8d7f","object":"chat.completion.chunk","created":1740000000,"model":"lettabot",'
    '"choices":[{"index":0,"delta":{"content":"Water"},"finish_reason":null}]}\n\ndata: [DONE]\n\n'
)


@dataclass
class ChatOperation(Operation):
    """The body is decoded by hand, so its description is written by hand as well."""

    def __post_init__(self) -> None:
        self.tags = ["OpenAI"]
        self.summary = "Send a message to an agent, and get its answer"
        self.request_body = RequestBody(
            required=True,
            content={"application/json": OpenAPIMediaType(schema=_CHAT_SCHEMA, examples=dict(_CHAT_EXAMPLES))},
        )
        self.responses = described_answers(_COMPLETION_EXAMPLE, _STREAM_EXAMPLE, ERROR_EXAMPLE)


def described_answers(whole: Any, stream: str, error: Any) -> dict[str, OpenAPIResponse | Reference]:
    events = {"text/event-stream": OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING), example=stream)}
    return {
        "200": OpenAPIResponse(description="The answer", content={**json_content(whole), **events}),
        **described_errors(error),
    }


def described_errors(example: Any) -> dict[str, OpenAPIResponse | Reference]:
    return {
        status: OpenAPIResponse(description=description, content=json_content(example))
        for status, description in _ERRORS.items()
    }


def json_content(example: Any) -> dict[str, OpenAPIMediaType]:
    return {"application/json": OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT), example=example)}


_ERRORS = {
    "400": "The request is wrong; `param` says where",
    "401": "The API key is missing or wrong",
    "402": "The account of the backend, or of the agent's language model, has no credits left",
    "404": "There is no such agent",
    "409": "The idempotency key was used for another request, or the same request has just failed after its delivery",
    "413": "The body is too large, for this service or for what stands before the backend",
    "429": "The language model or the backend is rate limited, or too many messages wait; nothing was delivered",
    "502": "The agent, its model or the way to it failed; `code` and `message` say whether the message was delivered",
    "503": "The backend cannot be reached; nothing was delivered",
    "504": "The agent took too long, and was stopped",
}


def document_handler() -> HTTPRouteHandler:
    encoded = b""

    @get("/openapi.json", media_type=MediaType.JSON, include_in_schema=False, sync_to_thread=False)
    def openapi_document(request: Request[Any, Any, Any]) -> bytes:
        """Made once: it takes some milliseconds, and anybody may ask for it."""
        nonlocal encoded
        encoded = encoded or msgspec.json.encode(request.app.openapi_schema.to_schema())
        return encoded

    return openapi_document


class _Page(SwaggerRenderPlugin):
    """Finds everything from where it is itself: beside it or, with a slash at its own end, one level up."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        if not request.scope["raw_path"].endswith(b"/"):
            return super().render(request, openapi_schema)
        page = super().render(request, {**openapi_schema, "servers": [{"url": ".."}]})
        return page.replace(f'"{_BESIDE}/'.encode(), f'".{_BESIDE}/'.encode())


def openapi_config(version: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="lettabot",
        version=version,
        description="An OpenAI-compatible API in front of stateful Letta agents: one user message, one delivery.",
        path="/docs",
        render_plugins=[
            _Page(
                path="/",
                js_url=f"{_BESIDE}/swagger-ui-bundle.js",
                css_url=f"{_BESIDE}/swagger-ui.css",
                standalone_preset_js_url=f"{_BESIDE}/swagger-ui-standalone-preset.js",
                favicon=f'<link rel="icon" href="{_BESIDE}/favicon-32x32.png">',
            )
        ],
        servers=[Server(url=".")],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer"),
                "apiKey": SecurityScheme(type="apiKey", name="X-Api-Key", security_scheme_in="header"),
            }
        ),
    )


def docs_assets() -> Router:
    """The page's scripts. Found without an import: start-up has no use for them."""
    spec = importlib.util.find_spec("swagger_ui_bundle")
    assert spec is not None  # noqa: S101
    assert spec.origin is not None  # noqa: S101
    directory = next(Path(spec.origin).parent.glob("vendor/swagger-ui-*"))
    return create_static_files_router(path=_ASSETS, directories=[directory], include_in_schema=False)
