"""How the API page describes POST /v1/responses, whose body is decoded by hand."""

from dataclasses import dataclass

from litestar.openapi.spec import Example, OpenAPIMediaType, OpenAPIType, Operation, Parameter, RequestBody, Schema

from entrypoints.http.api_docs import ERROR_EXAMPLE, described_answers

_RESPONSES_SCHEMA = Schema(
    type=OpenAPIType.OBJECT,
    required=["input"],
    properties={
        "model": Schema(
            type=[OpenAPIType.STRING, OpenAPIType.NULL],
            description="An agent's model name or id. Missing, null or empty: that of the previous response, or the "
            "first agent.",
        ),
        "input": Schema(
            description="A text, or an array of items. Only the last message with the role 'user' is delivered; the "
            "agent remembers the rest itself.",
        ),
        "stream": Schema(type=[OpenAPIType.BOOLEAN, OpenAPIType.NULL], default=False, description="True: events."),
        "background": Schema(
            type=[OpenAPIType.BOOLEAN, OpenAPIType.NULL],
            default=False,
            description="True: the response is made by a job, whether the client stays or not.",
        ),
        "store": Schema(
            type=[OpenAPIType.BOOLEAN, OpenAPIType.NULL],
            default=True,
            description="False: it cannot be asked for later, and nothing can go on from it.",
        ),
        "previous_response_id": Schema(
            type=[OpenAPIType.STRING, OpenAPIType.NULL],
            description="The response to go on from. It has to be the last one of its conversation.",
        ),
        "conversation": Schema(description="The id of a conversation of POST /v1/conversations, or an object with it."),
    },
    additional_properties=True,
    description="Every other parameter of OpenAI's API is accepted, has no effect, and is told again.",
)
_RESPONSES_EXAMPLES = {
    "sync": Example(summary="The whole answer", value={"model": "lettabot", "input": "What's on my todo list?"}),
    "stream": Example(summary="A stream", value={"model": "lettabot", "input": "What's on my list?", "stream": True}),
    "background": Example(summary="In the background", value={"model": "lettabot", "input": "Hi", "background": True}),
}
_RESPONSE_EXAMPLE = {
    "id": "resp_00643a1c2b3d4e5f60718293a4b5c6d7e8f9011",
    "object": "response",
    "created_at": 1740000000,
    "status": "completed",
    "model": "lettabot",
    "output": [
        {
            "id": "msg_00643a1c2b3d4e5f60718293a4b5c6d7e8f90110000",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Water the plants.", "annotations": [], "logprobs": []}],
        }
    ],
    "error": None,
    "usage": None,
}
_RESPONSE_STREAM_EXAMPLE = (
    'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":4,'
    '"item_id":"msg_0064","output_index":0,"content_index":0,"logprobs":[],"delta":"Water"}\n\ndata: [DONE]\n\n'
)


@dataclass
class ResponsesOperation(Operation):
    """The same for the Responses API."""

    def __post_init__(self) -> None:
        self.tags = ["Responses"]
        self.summary = "Send a message to an agent, and get its answer as a response that has an id"
        self.request_body = RequestBody(
            required=True,
            content={
                "application/json": OpenAPIMediaType(schema=_RESPONSES_SCHEMA, examples=dict(_RESPONSES_EXAMPLES))
            },
        )
        self.responses = described_answers(_RESPONSE_EXAMPLE, _RESPONSE_STREAM_EXAMPLE, ERROR_EXAMPLE)


_ITEMS = Schema(
    type=OpenAPIType.ARRAY,
    items=Schema(type=OpenAPIType.OBJECT),
    description="Items as in the input of a response, 20 at most. They are kept, and told to no agent.",
)
_METADATA = Schema(type=OpenAPIType.OBJECT, description="16 entries at most, keys and values are texts.")
_CONVERSATION = Schema(type=OpenAPIType.OBJECT, properties={"metadata": _METADATA, "items": _ITEMS})
_ITEM_EXAMPLE = {"type": "message", "role": "user", "content": "What's on my todo list?"}


@dataclass
class ConversationOperation(Operation):
    """Makes a conversation, or changes its metadata."""

    def __post_init__(self) -> None:
        self.request_body = _described(_CONVERSATION, {"metadata": {"topic": "plants"}})


@dataclass
class ItemsOperation(Operation):
    """Puts items into a conversation."""

    def __post_init__(self) -> None:
        schema = Schema(type=OpenAPIType.OBJECT, required=["items"], properties={"items": _ITEMS})
        self.request_body = _described(schema, {"items": [_ITEM_EXAMPLE]})


@dataclass
class PagesOperation(Operation):
    """Pages of a list."""

    def __post_init__(self) -> None:
        self.parameters = [
            *(self.parameters or ()),
            _query("limit", OpenAPIType.INTEGER, "Items in a page: 1 to 100, by default 20."),
            _query("after", OpenAPIType.STRING, "The id of the last item of the page before."),
            _query("order", OpenAPIType.STRING, "`asc`: the oldest first; `desc`: the newest first, as by default."),
        ]


@dataclass
class RetrieveOperation(Operation):
    """A response, or its events."""

    def __post_init__(self) -> None:
        self.parameters = [
            *(self.parameters or ()),
            _query("stream", OpenAPIType.BOOLEAN, "True: its events, and those that are still to come."),
            _query("starting_after", OpenAPIType.INTEGER, "The number of the last event that the client has."),
        ]
        self.responses = described_answers(_RESPONSE_EXAMPLE, _RESPONSE_STREAM_EXAMPLE, ERROR_EXAMPLE)


def _described(schema: Schema, example: object) -> RequestBody:
    body = OpenAPIMediaType(schema=schema, examples={"example": Example(value=example)})
    return RequestBody(content={"application/json": body})


def _query(name: str, type_: OpenAPIType, description: str) -> Parameter:
    return Parameter(name=name, param_in="query", required=False, schema=Schema(type=type_), description=description)
