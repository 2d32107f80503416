"""LettaBot's own endpoints described: those whose bodies are decoded by hand."""

from dataclasses import dataclass

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)

from entrypoints.http.api_docs import described_answers, described_errors, json_content

_NATIVE_PROPERTIES: dict[str, Reference | Schema] = {
    "message": Schema(type=OpenAPIType.STRING, description="What to say to the agent."),
    "agent": Schema(
        type=[OpenAPIType.STRING, OpenAPIType.NULL],
        description="An agent's name or id. Missing, null or empty: the first agent.",
    ),
}
_NATIVE_SCHEMA = Schema(type=OpenAPIType.OBJECT, required=["message"], properties=_NATIVE_PROPERTIES)
_JOB_SCHEMA = Schema(
    type=OpenAPIType.OBJECT,
    required=["message"],
    properties={
        **_NATIVE_PROPERTIES,
        "callbackUrl": Schema(
            type=[OpenAPIType.STRING, OpenAPIType.NULL],
            description="Where to POST the job's report when it has ended; X-LettaBot-Signature signs it.",
        ),
    },
)
_JOB_EXAMPLE = {
    "success": True,
    "status": "queued",
    "agentName": "lettabot",
    "jobId": "job_0064a35c1",
}
_NATIVE_EXAMPLE = {"success": True, "response": "Water the plants.", "agentName": "lettabot"}
_NATIVE_ERROR_EXAMPLE = {"success": False, "error": "Agent not found: nobody. Available: lettabot"}
_NATIVE_STREAM_EXAMPLE = (
    'data: {"type":"reasoning","content":"Let me look."}\n\n'
    'data: {"type":"tool_call","toolName":"list_todos","toolCallId":"call_1","toolInput":{}}\n\n'
    'data: {"type":"tool_result","toolCallId":"call_1","content":"Water the plants","isError":false}\n\n'
    'data: {"type":"assistant","content":"Water the plants."}\n\n'
    'data: {"type":"result","success":true}\n\n'
)


@dataclass
class NativeChatOperation(Operation):
    """POST /api/v1/chat. Its body is decoded by hand, so its description is written by hand as well."""

    def __post_init__(self) -> None:
        self.tags = ["LettaBot"]
        self.summary = "Send a message to an agent, and get its answer; as a stream with 'Accept: text/event-stream'"
        self.request_body = RequestBody(
            required=True, content={"application/json": OpenAPIMediaType(schema=_NATIVE_SCHEMA)}
        )
        self.responses = described_answers(_NATIVE_EXAMPLE, _NATIVE_STREAM_EXAMPLE, _NATIVE_ERROR_EXAMPLE)


@dataclass
class JobOperation(Operation):
    """And for its asynchronous one."""

    def __post_init__(self) -> None:
        self.tags = ["LettaBot"]
        self.summary = "Leave a message for an agent: it is kept, and delivered as soon as that is possible"
        self.request_body = RequestBody(
            required=True, content={"application/json": OpenAPIMediaType(schema=_JOB_SCHEMA)}
        )
        self.responses = {
            "202": OpenAPIResponse(description="The job is safely kept", content=json_content(_JOB_EXAMPLE)),
            **described_errors(_NATIVE_ERROR_EXAMPLE),
        }


_KEY_SCHEMA = Schema(
    type=OpenAPIType.OBJECT,
    required=["name"],
    properties={
        "name": Schema(type=OpenAPIType.STRING),
        "agents": Schema(
            type=[OpenAPIType.ARRAY, OpenAPIType.NULL],
            items=Schema(type=OpenAPIType.STRING),
            description="Names or ids of the only agents that it is for. Missing: all.",
        ),
        "expires": Schema(type=[OpenAPIType.STRING, OpenAPIType.NULL], description="Such as 90d, 12h or 30m."),
        **{
            name: Schema(type=OpenAPIType.BOOLEAN, default=name == "chatHeaders")
            for name in ("chatHeaders", "shareChats", "usage", "admin")
        },
    },
)


@dataclass
class KeyOperation(Operation):
    """How a key is made."""

    def __post_init__(self) -> None:
        self.tags = ["Administration"]
        self.summary = "Make an API key; its secret is told this once"
        self.request_body = RequestBody(
            required=True, content={"application/json": OpenAPIMediaType(schema=_KEY_SCHEMA)}
        )
        self.responses = {
            "201": OpenAPIResponse(description="The key", content=json_content({"name": "alice", "key": "4f1d..."})),
            **described_errors(_NATIVE_ERROR_EXAMPLE),
        }
