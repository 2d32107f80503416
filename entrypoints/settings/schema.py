"""The settings of lettabot.yaml. Each is declared here, once; docs/configuration.md is compared with this by a test."""

from collections.abc import Mapping
from typing import Any

import msgspec

from entrypoints.settings import kinds, texts
from entrypoints.settings.setting import Setting

# Where the agents are: one of these, in `server` or in each of `backends`.
_KEY_OF_LETTA = Setting("apiKey", kinds.LETTA_KEY, "the key for Letta", variables=("LETTA_API_KEY",))
_URL = Setting(
    "baseUrl",
    kinds.LETTA_URL,
    "the address of Letta, or of Letta Code (in the environment, `LETTA_CODE_URL`)",
    variables=("LETTA_BASE_URL",),
)
_TOKEN_OF_CODE = Setting("token", kinds.TOKEN, "the token for Letta Code", variables=("LETTA_CODE_TOKEN",))
_PERMISSIONS_OF_CODE = Setting(
    "permissions",
    kinds.PERMISSIONS,
    "what Letta Code's tools may do unasked: `standard`, `acceptEdits`, `strict`, "
    "[`unrestricted`](backends.md#letta-code)",
    default="standard",
)
_OF_OPENAI = (
    Setting(
        "models", kinds.MODELS, "mode `openai`: the models on offer, with commas or as a list", default_words="all"
    ),
    Setting("prefix", kinds.TEXT, "mode `openai`: stands before the names of the models"),
    Setting(
        "chatHeader", kinds.HEADER, "mode `openai`: the header that tells the server which chat a message belongs to"
    ),
    Setting("system", kinds.TEXT, "mode `openai`: a system message before all others"),
    Setting(
        "history", kinds.HISTORY, "mode `openai`: who keeps what was said: `lettabot`, `upstream`", default="lettabot"
    ),
)
BACKEND = (
    Setting("mode", kinds.ANY_MODE, "`api`, `docker`, `letta-code`, `openai`, `embedded`, or an installed one"),
    Setting("baseUrl", kinds.LETTA_URL, "the address of Letta, or of Letta Code"),
    Setting("apiKey", kinds.LETTA_KEY, "the key for Letta"),
    Setting("token", kinds.TOKEN, "the token for Letta Code"),
    Setting("permissions", kinds.PERMISSIONS, "as `server.permissions`", default="standard"),
    *_OF_OPENAI,
    Setting("database", kinds.FILE, "the file of the built-in agent", default_words="`server.api.embeddedDatabase`"),
)
# The keys of `server` that say which backend.
OF_BACKEND = ("mode", "apiKey", "baseUrl", "token", "permissions", *(setting.key for setting in _OF_OPENAI))
# A second address, for the environment alone.
CODE_URL = Setting("baseUrl", kinds.LETTA_URL, "", variables=("LETTA_CODE_URL",))

# The way to the one backend, and the log.
SERVER = (
    Setting(
        "mode", kinds.MODE, "`api`, `docker`, `letta-code`, `openai`, `embedded`", default_words="from what is set"
    ),
    _KEY_OF_LETTA,
    _URL,
    _TOKEN_OF_CODE,
    _PERMISSIONS_OF_CODE,
    *_OF_OPENAI,
    Setting(
        "logLevel",
        kinds.LOG_LEVEL,
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
        kinds.HOST,
        "`0.0.0.0`: reachable from other machines; `::`: also by IPv6",
        to="host",
        variables=("API_HOST",),
        flag="--host",
    ),
    Setting("port", kinds.PORT, "`0`: any that is free", to="port", variables=("PORT",), flag="--port"),
    Setting(
        "workers",
        kinds.WORKERS,
        "processes: see [More than one process](operations.md#more-than-one-process)",
        to="workers",
        flag="--workers",
    ),
    Setting(
        "corsOrigin",
        kinds.ORIGINS,
        "origins, with commas between them or as a list in YAML, or `*`; for browsers",
        to="cors_origins",
        variables=("API_CORS_ORIGIN",),
        default_words="none",
    ),
    Setting(
        "toolCalls",
        kinds.TOOL_CALLS,
        "`auto`, `always`, `never`, `status` (lines for Open WebUI)",
        to="chat_options.tool_calls",
    ),
    Setting(
        "reasoning",
        kinds.REASONING,
        "`reasoning_content`: the agent's reasoning, beside the answer",
        to="chat_options.reasoning",
        means={"hidden": False, "reasoning_content": True},
    ),
    Setting("usage", kinds.USAGE, "`report`: tokens", to="chat_options.usage", means={"null": False, "report": True}),
    Setting(
        "imageUrls",
        kinds.IMAGES,
        "`any`: also images on the web, which Letta then fetches",
        to="chat_options.image_links",
        means={"data": False, "any": True},
    ),
    Setting(
        "conversations",
        kinds.CONVERSATIONS,
        "`shared`: chat keys are ignored",
        to="chat_options.own_conversations",
        means={"auto": True, "shared": False},
    ),
    Setting(
        "backgroundTasks",
        kinds.BACKGROUND_TASKS,
        "`agent`: a frontend's own tasks, such as titles, go to the agent, each in a conversation that is then deleted",
        to="chat_options.background_tasks",
    ),
    Setting(
        "onDisconnect",
        kinds.ON_DISCONNECT,
        "`cancel`, `finish`: see [Retries and hang-ups](delivery.md#retries-and-hang-ups)",
        to="turn_rules.on_disconnect",
    ),
    Setting("maxWaitingTurns", kinds.COUNT, "messages that may wait for one conversation", to="turn_rules.max_waiting"),
    Setting("maxWaitingTurnsOverall", kinds.COUNT, "and for all of them", to="turn_rules.max_waiting_overall"),
    Setting(
        "busyTimeout",
        kinds.SECONDS,
        "seconds to wait for a conversation that somebody else keeps busy",
        to="turn_rules.busy_timeout",
    ),
    Setting(
        "turnTimeout",
        kinds.SECONDS,
        "seconds that a turn may take; then the agent is stopped",
        to="turn_rules.turn_timeout",
    ),
    Setting(
        "recoveryTimeout",
        kinds.SECONDS,
        "seconds without progress after which a run whose connection broke is given up",
        to="turn_rules.recovery_timeout",
    ),
    Setting(
        "repeatErrorsFor",
        kinds.SECONDS,
        "seconds for which a request that failed after its delivery gets its error again",
        to="turn_rules.repeat_errors_for",
    ),
    Setting(
        "trustChatHeaders",
        kinds.YES_OR_NO,
        "`false`: clients cannot say for which chat they speak",
        to="chat_options.trust_chat_headers",
    ),
    Setting("chatIdHeader", kinds.HEADER, "the header with the chat's id", to="chat_options.header_names.chat"),
    Setting("messageIdHeader", kinds.HEADER, "with the answer's id", to="chat_options.header_names.message"),
    Setting("userMessageIdHeader", kinds.HEADER, "with the question's id", to="chat_options.header_names.user_message"),
    Setting("taskHeader", kinds.HEADER, "with the name of a frontend's own task", to="chat_options.header_names.task"),
    Setting("maxBodyBytes", kinds.BODY_BYTES, "larger requests get 413", to="chat_options.max_body_bytes"),
    Setting(
        "shutdownSeconds",
        kinds.SECONDS,
        "how long answers may take to end when the server stops",
        to="shutdown_seconds",
        variables=("LETTABOT_SHUTDOWN_SECONDS",),
    ),
    Setting(
        "dataDir",
        kinds.DIRECTORY,
        "for the key files, the state and the notebook",
        variables=("DATA_DIR",),
        default_words="the working directory",
    ),
    Setting("embeddedDatabase", kinds.FILE, "the built-in agent's notebook", default="lettabot-embedded.sqlite"),
    Setting(
        "state",
        kinds.STATE,
        "see [State](operations.md#state); or `postgresql://...`; or `memory`: forgotten with the process",
        default=f"{texts.SQLITE}lettabot-state.sqlite",
    ),
    Setting(
        "keepAnswersFor",
        kinds.SECONDS,
        "seconds for which answers lie in the state; `0`: never",
        to="keep_answers_for",
    ),
    Setting(
        "keepResponsesFor",
        kinds.UP_TO_A_YEAR,
        "seconds for which [responses](responses.md) can be asked for and gone on from",
        to="keep_responses_for",
    ),
    Setting(
        "continueFrom",
        kinds.CONTINUE_FROM,
        "`last`: a response that is not the last one of its chat is gone on from all the same, at the end of the chat",
        to="chat_options.continue_at_last",
        means={"response": False, "last": True},
    ),
    Setting(
        "portal",
        kinds.PORTAL,
        "`off`: no [page for people](operations.md#the-portal); `full`: it also shows what was said in the last turns",
        to="portal",
    ),
    Setting(
        "metrics",
        kinds.METRICS,
        "`off`; `key`: at `/metrics`, with an API key; a port, or `HOST:PORT`: there, without a key. See "
        "[Metrics](operations.md#metrics)",
        to="metrics",
    ),
    Setting("jobTries", kinds.JOB_TRIES, "attempts of a job that count", to="job_rules.tries"),
    Setting("maxOpenJobs", kinds.OPEN_JOBS, "jobs of one API key that may be open", to="job_rules.max_open"),
    Setting("maxOpenJobBytes", kinds.OPEN_JOB_BYTES, "bytes of their messages", to="job_rules.max_open_bytes"),
    Setting(
        "allowHttpCallbacks",
        kinds.YES_OR_NO,
        "`true`: callbacks may go to addresses without TLS",
        to="job_options.allow_http_callbacks",
    ),
    Setting(
        "allowPrivateCallbacks",
        kinds.YES_OR_NO,
        "`true`: and to addresses in private networks",
        to="job_options.allow_private_callbacks",
    ),
)

# `agent`, and each entry of `agents`; the environment speaks of `agent`.
AGENT = (
    Setting("name", kinds.AGENT_NAME, "the name for clients", variables=("LETTA_AGENT_NAME", "AGENT_NAME")),
    Setting("id", kinds.AGENT_ID, "which agent it is", variables=("LETTA_AGENT_ID",)),
    Setting("backend", kinds.BACKEND_NAME, "of several backends, the one that it is in"),
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
