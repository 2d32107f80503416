"""The sections of lettabot.yaml that this service has, and how one value of them is read, wherever it comes from."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from domain.model.turn_rules import OnDisconnect
from entrypoints.settings import texts
from entrypoints.settings.chat_options import BackgroundTasks, ToolCalls
from entrypoints.settings.model import Mode, SettingsError

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Api(msgspec.Struct, frozen=True, rename="camel"):
    """`server.api`, and the old top-level `api`: this service's own HTTP API. All of its settings stand here."""

    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] | None = None
    host: str | None = None
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    cors_origin: tuple[str, ...] | None = None
    tool_calls: ToolCalls | None = None
    max_body_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    shutdown_seconds: Seconds | None = None
    max_waiting_turns: Count | None = None
    max_waiting_turns_overall: Count | None = None
    busy_timeout: Seconds | None = None
    turn_timeout: Seconds | None = None
    recovery_timeout: Seconds | None = None
    repeat_errors_for: Seconds | None = None
    on_disconnect: OnDisconnect | None = None
    conversations: Literal["auto", "shared"] | None = None
    trust_chat_headers: bool | None = None
    chat_id_header: str | None = None
    message_id_header: str | None = None
    user_message_id_header: str | None = None
    task_header: str | None = None
    background_tasks: BackgroundTasks | None = None
    image_urls: Literal["data", "any"] | None = None
    reasoning: Literal["hidden", "reasoning_content"] | None = None
    usage: Literal["null", "report"] | None = None
    data_dir: str | None = None
    embedded_database: str | None = None
    state: str | None = None
    keep_answers_for: Seconds | None = None
    job_tries: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    max_open_jobs: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_open_job_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    allow_http_callbacks: bool | None = None
    allow_private_callbacks: bool | None = None


class Server(msgspec.Struct, frozen=True, rename="camel"):
    """`server`: the way to Letta, and the log."""

    mode: Mode | None = None
    api_key: str | None = None
    base_url: str | None = None
    log_level: Literal["debug", "info", "warning", "error"] | None = None
    api: Api = Api()


class AgentEntry(msgspec.Struct, frozen=True):
    """`agent`, and each entry of `agents`."""

    name: str | None = None
    id: str | None = None


class Document(msgspec.Struct, frozen=True):
    """All of lettabot.yaml that has an effect."""

    server: Server = Server()
    agent: AgentEntry = AgentEntry()
    agents: tuple[AgentEntry, ...] = ()


_SECONDS = "a number of seconds between 0 and 86400"
_COUNT = "a number that is not negative"
_HEADER = "the name of a header, such as X-Chat-Id"

_EXPECTED = {
    "mode": "api, docker or embedded",
    "apiKey": "the Letta API key: ASCII text without line breaks or blanks around it (what is there is not shown)",
    "baseUrl": "the URL of a Letta server, such as http://localhost:8283, without a user name, a password or a query",
    "logLevel": "debug, info, warning or error",
    "port": "an integer between 0 and 65535",
    "host": "an address or a host name, such as 127.0.0.1 or 0.0.0.0",
    "workers": "a number between 1 and 64",
    "corsOrigin": "origins, such as https://chat.example.org, with commas between them or as a list; or *",
    "toolCalls": "auto, always, never or status",
    "maxBodyBytes": "a number of bytes of at least 1, such as 50000000",
    "shutdownSeconds": _SECONDS,
    "maxWaitingTurns": _COUNT,
    "maxWaitingTurnsOverall": _COUNT,
    "busyTimeout": _SECONDS,
    "turnTimeout": _SECONDS,
    "recoveryTimeout": _SECONDS,
    "repeatErrorsFor": _SECONDS,
    "onDisconnect": "auto, cancel or finish",
    "conversations": "auto or shared",
    "trustChatHeaders": "true or false",
    "chatIdHeader": _HEADER,
    "messageIdHeader": _HEADER,
    "userMessageIdHeader": _HEADER,
    "taskHeader": _HEADER,
    "backgroundTasks": "local or agent",
    "imageUrls": "data or any",
    "reasoning": "hidden or reasoning_content",
    "usage": "null or report",
    "dataDir": "the path of a directory",
    "embeddedDatabase": "the path of a file",
    "state": "sqlite:/// and the path of a file, postgresql://user:password@host/database, or memory",
    "keepAnswersFor": _SECONDS,
    "jobTries": "a number between 1 and 1000",
    "maxOpenJobs": "a number of at least 1",
    "maxOpenJobBytes": "a number of bytes of at least 1, such as 200000000",
    "allowHttpCallbacks": "true or false",
    "allowPrivateCallbacks": "true or false",
    "name": "a name (text in quotes, if it looks like something else) that is not blank",
    "id": "the id of an agent, such as agent-123e4567-e89b-42d3-a456-426614174000",
}

_READ: Mapping[str, Callable[[str], object]] = {
    "mode": texts.mode,
    "apiKey": texts.letta_api_key,
    "baseUrl": texts.base_url,
    "logLevel": texts.log_level,
    "port": str.strip,
    "host": texts.word,
    "workers": str.strip,
    "corsOrigin": texts.origins,
    "toolCalls": str.lower,
    "maxBodyBytes": str.strip,
    "shutdownSeconds": str.strip,
    "maxWaitingTurns": str.strip,
    "maxWaitingTurnsOverall": str.strip,
    "busyTimeout": str.strip,
    "turnTimeout": str.strip,
    "recoveryTimeout": str.strip,
    "repeatErrorsFor": str.strip,
    "onDisconnect": str.lower,
    "conversations": str.lower,
    "trustChatHeaders": str.strip,
    "chatIdHeader": texts.header,
    "messageIdHeader": texts.header,
    "userMessageIdHeader": texts.header,
    "taskHeader": texts.header,
    "backgroundTasks": str.lower,
    "imageUrls": str.lower,
    "reasoning": str.lower,
    "usage": str.lower,
    "state": texts.state,
    "keepAnswersFor": str.strip,
    "jobTries": str.strip,
    "maxOpenJobs": str.strip,
    "maxOpenJobBytes": str.strip,
    "allowHttpCallbacks": str.strip,
    "allowPrivateCallbacks": str.strip,
    "name": texts.not_blank,
    "id": texts.word,
}


def read_value(section: type[msgspec.Struct], key: str, value: object, place: str, written: object = None) -> Any:
    """The value as the section wants it. Raises `SettingsError` that names the place and shows what was `written`.

    Text is also taken where a number is wanted: environment variables, and so `${PORT}`, are always text."""
    [kind] = [field.type for field in msgspec.structs.fields(section) if field.encode_name == key]
    try:
        if isinstance(value, str):
            value = _READ.get(key, texts.not_blank)(texts.plain(value))
        elif isinstance(value, list) and key == "corsOrigin":
            value = [texts.origin(texts.plain(each)) if isinstance(each, str) else each for each in value]
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, ValueError, OverflowError):
        # Neither a key nor a password in a URL is shown.
        secret = key == "apiKey" or (key in ("baseUrl", "state") and "@" in str(value))
        got = "" if secret else f", got {texts.shown(value if written is None else written)}"
        raise SettingsError(f"{place}: expected {_EXPECTED[key]}{got}") from None
