"""How the API page describes conversations, whose parameters and bodies are read by hand."""

from dataclasses import dataclass

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, Parameter, RequestBody, Schema

_AGENT = "An agent's name or id. Missing: the first agent."
_NULLABLE = [OpenAPIType.STRING, OpenAPIType.NULL]
_AGENT_FIELD = Schema(type=_NULLABLE, description=_AGENT)
_SUMMARY_FIELD = Schema(type=OpenAPIType.STRING, description="What it is about: 1 to 500 characters in one line.")
_KEY_FIELD = Schema(type=_NULLABLE, description="A chat key of this API key. Missing: messages without a chat key.")


@dataclass
class ConversationsOperation(Operation):
    """A page of conversations."""

    def __post_init__(self) -> None:
        _describe(self, "The conversations of an agent")
        self.parameters = [*(self.parameters or ()), *_page("after", "The last conversation of the page before.")]


@dataclass
class MessagesOperation(Operation):
    """A page of messages."""

    def __post_init__(self) -> None:
        _describe(self, "What was said in a conversation")
        self.parameters = [*(self.parameters or ()), *_page("before", "The oldest message seen.")]


@dataclass
class MakeConversationOperation(Operation):
    """A new conversation."""

    def __post_init__(self) -> None:
        _describe(self, "Make a conversation, or a copy of one")
        fork = Schema(type=_NULLABLE, description="The id of the conversation with whose history it begins.")
        self.request_body = _body({"summary": _SUMMARY_FIELD, "forkOf": fork, "key": _KEY_FIELD}, [])


@dataclass
class RenameOperation(Operation):
    """Another summary."""

    def __post_init__(self) -> None:
        _describe(self, "Rename a conversation")
        self.request_body = _body({"summary": _SUMMARY_FIELD}, ["summary"])


@dataclass
class DeleteConversationOperation(Operation):
    """One conversation less."""

    def __post_init__(self) -> None:
        _describe(self, "Delete a conversation")
        self.parameters = [*(self.parameters or ()), _query("agent", OpenAPIType.STRING, _AGENT)]


@dataclass
class AssignOperation(Operation):
    """Another way for a chat key."""

    def __post_init__(self) -> None:
        _describe(self, "Let a chat key go to a conversation")
        conversation = Schema(type=OpenAPIType.STRING, description="Its id, or `default`.")
        self.request_body = _body({"conversationId": conversation, "key": _KEY_FIELD}, ["conversationId"])


def _describe(operation: Operation, summary: str) -> None:
    operation.summary, operation.tags = summary, ["LettaBot"]


def _page(place: str, description: str) -> list[Parameter]:
    return [
        _query("agent", OpenAPIType.STRING, _AGENT),
        _query("limit", OpenAPIType.INTEGER, "1 to 500, by default 50."),
        _query(place, OpenAPIType.STRING, description),
    ]


def _query(name: str, type_: OpenAPIType, description: str) -> Parameter:
    return Parameter(name, "query", description=description, schema=Schema(type=type_))


def _body(properties: dict[str, Schema], required: list[str]) -> RequestBody:
    schema = Schema(
        type=OpenAPIType.OBJECT, required=required or None, properties={"agent": _AGENT_FIELD, **properties}
    )
    return RequestBody(required=True, content={"application/json": OpenAPIMediaType(schema=schema)})
