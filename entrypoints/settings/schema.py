"""The settings of lettabot.yaml. Each is declared here, once; docs/configuration.md is compared with this by a test."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from domain.model.turn_rules import OnDisconnect
from entrypoints.settings import texts
from entrypoints.settings.backend import HistoryKeeper, Mode, Permissions
from entrypoints.settings.chat_options import BackgroundTasks, ToolCalls
from entrypoints.settings.setting import Kind, Setting

_Positive = Annotated[int, msgspec.Meta(ge=1)]

_SECONDS = Kind(Annotated[float, msgspec.Meta(ge=0, le=86400)], "a number of seconds between 0 and 86400")
_COUNT = Kind(Annotated[int, msgspec.Meta(ge=0)], "a number that is not negative")
_YES_OR_NO = Kind(bool, "true or false")
_HEADER = Kind(str, "the name of a header, such as X-Chat-Id", texts.header)
_PORT = Kind(Annotated[int, msgspec.Meta(ge=0, le=65535)], "an integer between 0 and 65535")
_HOST = Kind(str, "an address or a host name, such as 127.0.0.1 or 0.0.0.0", texts.word)
_WORKERS = Kind(Annotated[int, msgspec.Meta(ge=1, le=64)], "a number between 1 and 64")
_ORIGINS = Kind(
    tuple[str, ...],
    "origins, such as https://chat.example.org, with commas between them or as a list; or *",
    texts.origins,
    texts.origin,
)
_BODY_BYTES = Kind(_Positive, "a number of bytes of at least 1, such as 50000000")
_JOB_TRIES = Kind(Annotated[int, msgspec.Meta(ge=1, le=1000)], "a number between 1 and 1000")
_OPEN_JOBS = Kind(_Positive, "a number of at least 1")
_OPEN_JOB_BYTES = Kind(_Positive, "a number of bytes of at least 1, such as 200000000")
_DIRECTORY = Kind(str, "the path of a directory", texts.not_blank)
_FILE = Kind(str, "the path of a file", texts.not_blank)
_STATE = Kind(
    str,
    "sqlite:/// and the path of a file, postgresql://user:password@host/database, or memory",
    texts.state,
    is_secret=texts.may_have_password,
)
_MODE = Kind(Mode, "api, docker, letta-code, openai or embedded", texts.mode)
_ANY_MODE = Kind(str, "api, docker, letta-code, openai, embedded, or the name of an installed backend", texts.any_mode)
_LETTA_KEY = Kind(
    str,
    "the Letta API key: ASCII text without line breaks or blanks around it (what is there is not shown)",
    texts.letta_api_key,
    is_secret=lambda text: True,
)
_LETTA_URL = Kind(
    str,
    "the URL of a Letta server, such as http://localhost:8283, or of Letta Code, such as ws://localhost:4500, without "
    "a user name, a password or a query",
    texts.base_url,
    is_secret=texts.may_have_password,
)
_TOKEN = Kind(
    str,
    "a token of Letta Code: ASCII text without line breaks or blanks around it (what is there is not shown)",
    texts.letta_api_key,
    is_secret=lambda text: True,
)
_PERMISSIONS = Kind(Permissions, "standard, acceptEdits, strict or unrestricted", texts.permissions)
_MODELS = Kind(tuple[str, ...], "names of models, with commas between them or as a list", texts.names, texts.not_blank)
_TEXT = Kind(str, "a text that is not blank", texts.not_blank)
_HISTORY = Kind(HistoryKeeper, "lettabot or upstream", str.lower)
BACKEND_NAME = Kind(str, "the name of a backend: letters, digits, dots, dashes and underscores", texts.backend_name)
_LOG_LEVEL = Kind(Literal["debug", "info", "warning", "error"], "debug, info, warning or error", texts.log_level)
_TOOL_CALLS = Kind(ToolCalls, "auto, always, never or status", str.lower)
_REASONING = Kind(Literal["hidden", "reasoning_content"], "hidden or reasoning_content", str.lower)
_USAGE = Kind(Literal["null", "report"], "null or report", str.lower)
_IMAGES = Kind(Literal["data", "any"], "data or any", str.lower)
_CONVERSATIONS = Kind(Literal["auto", "shared"], "auto or shared", str.lower)
_BACKGROUND_TASKS = Kind(BackgroundTasks, "local or agent", str.lower)
_ON_DISCONNECT = Kind(OnDisconnect, "auto, cancel or finish", str.lower)
_AGENT_NAME = Kind(str, "a name (text in quotes, if it looks like something else) that is not blank", texts.not_blank)
_AGENT_ID = Kind(str, "the id of an agent, such as agent-123e4567-e89b-42d3-a456-426614174000", texts.word)

# Where the agents are: one of these, in `server` or in each of `backends`.
_KEY_OF_LETTA = Setting("apiKey", _LETTA_KEY, "the key for Letta", variables=("LETTA_API_KEY",))
_URL = Setting(
    "baseUrl",
    _LETTA_URL,
    "the address of Letta, or of Letta Code (in the environment, `LETTA_CODE_URL`)",
    variables=("LETTA_BASE_URL",),
)
_TOKEN_OF_CODE = Setting("token", _TOKEN, "the token for Letta Code", variables=("LETTA_CODE_TOKEN",))
_PERMISSIONS_OF_CODE = Setting(
    "permissions",
    _PERMISSIONS,
    "what Letta Code's tools may do unasked: `standard`, `acceptEdits`, `strict`, "
    "[`unrestricted`](backends.md#letta-code)",
    default="standard",
)
_OF_OPENAI = (
    Setting("models", _MODELS, "mode `openai`: the models on offer, with commas or as a list", default_words="all"),
    Setting("prefix", _TEXT, "mode `openai`: stands before the names of the models"),
    Setting("chatHeader", _HEADER, "mode `openai`: the header that tells the server which chat a message belongs to"),
    Setting("system", _TEXT, "mode `openai`: a system message before all others"),
    Setting("history", _HISTORY, "mode `openai`: who keeps what was said: `lettabot`, `upstream`", default="lettabot"),
)
BACKEND = (
    Setting("mode", _ANY_MODE, "`api`, `docker`, `letta-code`, `openai`, `embedded`, or an installed one"),
    Setting("baseUrl", _LETTA_URL, "the address of Letta, or of Letta Code"),
    Setting("apiKey", _LETTA_KEY, "the key for Letta"),
    Setting("token", _TOKEN, "the token for Letta Code"),
    Setting("permissions", _PERMISSIONS, "as `server.permissions`", default="standard"),
    *_OF_OPENAI,
    Setting("database", _FILE, "the file of the built-in agent", default_words="`server.api.embeddedDatabase`"),
)
# The keys of `server` that say which backend.
OF_BACKEND = ("mode", "apiKey", "baseUrl", "token", "permissions", *(setting.key for setting in _OF_OPENAI))
# A second address, for the environment alone.
CODE_URL = Setting("baseUrl", _LETTA_URL, "", variables=("LETTA_CODE_URL",))

# The way to the one backend, and the log.
SERVER = (
    Setting("mode", _MODE, "`api`, `docker`, `letta-code`, `openai`, `embedded`", default_words="from what is set"),
    _KEY_OF_LETTA,
    _URL,
    _TOKEN_OF_CODE,
    _PERMISSIONS_OF_CODE,
    *_OF_OPENAI,
    Setting(
        "logLevel",
        _LOG_LEVEL,
        "`debug`, `info`, `warning`, `error`",
        to="log_level",
        variables=("LETTABOT_LOG_LEVEL", "LOG_LEVEL"),
        flag="--log-level",
        environment_wins=True,
    ),
)

# This service's own HTTP API. In the old LettaBot, these stood in `api` at the top.
API = (
    Setting(
        "host",
        _HOST,
        "`0.0.0.0`: reachable from other machines; `::`: also by IPv6",
        to="host",
        variables=("API_HOST",),
        flag="--host",
    ),
    Setting("port", _PORT, "`0`: any that is free", to="port", variables=("PORT",), flag="--port"),
    Setting(
        "workers",
        _WORKERS,
        "processes: see [More than one process](operations.md#more-than-one-process)",
        to="workers",
        flag="--workers",
    ),
    Setting(
        "corsOrigin",
        _ORIGINS,
        "origins, with commas between them or as a list in YAML, or `*`; for browsers",
        to="cors_origins",
        variables=("API_CORS_ORIGIN",),
        default_words="none",
    ),
    Setting(
        "toolCalls",
        _TOOL_CALLS,
        "`auto`, `always`, `never`, `status` (lines for Open WebUI)",
        to="chat_options.tool_calls",
    ),
    Setting(
        "reasoning",
        _REASONING,
        "`reasoning_content`: the agent's reasoning, beside the answer",
        to="chat_options.reasoning",
        means={"hidden": False, "reasoning_content": True},
    ),
    Setting("usage", _USAGE, "`report`: tokens", to="chat_options.usage", means={"null": False, "report": True}),
    Setting(
        "imageUrls",
        _IMAGES,
        "`any`: also images on the web, which Letta then fetches",
        to="chat_options.image_links",
        means={"data": False, "any": True},
    ),
    Setting(
        "conversations",
        _CONVERSATIONS,
        "`shared`: chat keys are ignored",
        to="chat_options.own_conversations",
        means={"auto": True, "shared": False},
    ),
    Setting(
        "backgroundTasks",
        _BACKGROUND_TASKS,
        "`agent`: a frontend's own tasks, such as titles, go to the agent, each in a conversation that is then deleted",
        to="chat_options.background_tasks",
    ),
    Setting(
        "onDisconnect",
        _ON_DISCONNECT,
        "`cancel`, `finish`: see [Retries and hang-ups](delivery.md#retries-and-hang-ups)",
        to="turn_rules.on_disconnect",
    ),
    Setting("maxWaitingTurns", _COUNT, "messages that may wait for one conversation", to="turn_rules.max_waiting"),
    Setting("maxWaitingTurnsOverall", _COUNT, "and for all of them", to="turn_rules.max_waiting_overall"),
    Setting(
        "busyTimeout",
        _SECONDS,
        "seconds to wait for a conversation that somebody else keeps busy",
        to="turn_rules.busy_timeout",
    ),
    Setting(
        "turnTimeout",
        _SECONDS,
        "seconds that a turn may take; then the agent is stopped",
        to="turn_rules.turn_timeout",
    ),
    Setting(
        "recoveryTimeout",
        _SECONDS,
        "seconds without progress after which a run whose connection broke is given up",
        to="turn_rules.recovery_timeout",
    ),
    Setting(
        "repeatErrorsFor",
        _SECONDS,
        "seconds for which a request that failed after its delivery gets its error again",
        to="turn_rules.repeat_errors_for",
    ),
    Setting(
        "trustChatHeaders",
        _YES_OR_NO,
        "`false`: clients cannot say for which chat they speak",
        to="chat_options.trust_chat_headers",
    ),
    Setting("chatIdHeader", _HEADER, "the header with the chat's id", to="chat_options.header_names.chat"),
    Setting("messageIdHeader", _HEADER, "with the answer's id", to="chat_options.header_names.message"),
    Setting("userMessageIdHeader", _HEADER, "with the question's id", to="chat_options.header_names.user_message"),
    Setting("taskHeader", _HEADER, "with the name of a frontend's own task", to="chat_options.header_names.task"),
    Setting("maxBodyBytes", _BODY_BYTES, "larger requests get 413", to="chat_options.max_body_bytes"),
    Setting(
        "shutdownSeconds",
        _SECONDS,
        "how long answers may take to end when the server stops",
        to="shutdown_seconds",
    ),
    Setting(
        "dataDir",
        _DIRECTORY,
        "for the key files, the state and the notebook",
        variables=("DATA_DIR",),
        default_words="the working directory",
    ),
    Setting("embeddedDatabase", _FILE, "the built-in agent's notebook", default="lettabot-embedded.sqlite"),
    Setting(
        "state",
        _STATE,
        "see [State](operations.md#state); or `postgresql://...`; or `memory`: forgotten with the process",
        default=f"{texts.SQLITE}lettabot-state.sqlite",
    ),
    Setting(
        "keepAnswersFor",
        _SECONDS,
        "seconds for which answers lie in the state; `0`: never",
        to="keep_answers_for",
    ),
    Setting("jobTries", _JOB_TRIES, "attempts of a job that count", to="job_rules.tries"),
    Setting("maxOpenJobs", _OPEN_JOBS, "jobs of one API key that may be open", to="job_rules.max_open"),
    Setting("maxOpenJobBytes", _OPEN_JOB_BYTES, "bytes of their messages", to="job_rules.max_open_bytes"),
    Setting(
        "allowHttpCallbacks",
        _YES_OR_NO,
        "`true`: callbacks may go to addresses without TLS",
        to="job_options.allow_http_callbacks",
    ),
    Setting(
        "allowPrivateCallbacks",
        _YES_OR_NO,
        "`true`: and to addresses in private networks",
        to="job_options.allow_private_callbacks",
    ),
)

# `agent`, and each entry of `agents`; the environment speaks of `agent`.
AGENT = (
    Setting("name", _AGENT_NAME, "the name for clients", variables=("LETTA_AGENT_NAME", "AGENT_NAME")),
    Setting("id", _AGENT_ID, "which agent it is", variables=("LETTA_AGENT_ID",)),
    Setting("backend", BACKEND_NAME, "of several backends, the one that it is in"),
)


class AgentEntry(msgspec.Struct, frozen=True):
    """`agent`, and each entry of `agents`."""

    name: str | None = None
    id: str | None = None
    backend: str | None = None


class BackendEntry(msgspec.Struct, frozen=True):
    """One of `backends`."""

    name: str
    mode: str
    values: Mapping[str, Any]
    """By key; of an installed backend, as they were written, but for variables."""
    path: str
    """Where it stands, for error messages."""


class Document(msgspec.Struct, frozen=True):
    """All of lettabot.yaml that has an effect. What is unset is not in it."""

    server: Mapping[str, Any] = {}
    """By key, as in `SERVER`."""
    api: Mapping[str, Any] = {}
    """By key, as in `API`."""
    agent: AgentEntry = AgentEntry()
    agents: tuple[AgentEntry, ...] = ()
    backends: tuple[BackendEntry, ...] = ()
