"""What may be written for settings: the kinds of values, with their limits, and what an error says of them."""

from typing import Annotated, Literal

import msgspec

from domain.model.turn_rules import OnDisconnect
from entrypoints.settings import texts
from entrypoints.settings.backend import HistoryKeeper, Mode, Permissions
from entrypoints.settings.chat_options import BackgroundTasks, Portal, ToolCalls
from entrypoints.settings.setting import Kind


def _any_mode(text: str) -> str:
    """Names of installed backends are kept as they are."""
    mode = texts.mode(text)
    return mode if mode in list(Mode) else texts.not_blank(text)


_Positive = Annotated[int, msgspec.Meta(ge=1)]

SECONDS = Kind(Annotated[float, msgspec.Meta(ge=0, le=86400)], "a number of seconds between 0 and 86400")
UP_TO_A_YEAR = Kind(
    Annotated[float, msgspec.Meta(ge=0, le=31_536_000)], "a number of seconds between 0 and 31536000, a year"
)
COUNT = Kind(Annotated[int, msgspec.Meta(ge=0)], "a number that is not negative")
YES_OR_NO = Kind(bool, "true or false")
HEADER = Kind(str, "the name of a header, such as X-Chat-Id", texts.header)
PORT = Kind(Annotated[int, msgspec.Meta(ge=0, le=65535)], "an integer between 0 and 65535")
HOST = Kind(str, "an address or a host name, such as 127.0.0.1 or 0.0.0.0", texts.word)
WORKERS = Kind(Annotated[int, msgspec.Meta(ge=1, le=64)], "a number between 1 and 64")
ORIGINS = Kind(
    tuple[str, ...],
    "origins, such as https://chat.example.org, with commas between them or as a list; or *",
    texts.origins,
    texts.origin,
)
BODY_BYTES = Kind(_Positive, "a number of bytes of at least 1, such as 50000000")
JOB_TRIES = Kind(Annotated[int, msgspec.Meta(ge=1, le=1000)], "a number between 1 and 1000")
OPEN_JOBS = Kind(_Positive, "a number of at least 1")
OPEN_JOB_BYTES = Kind(_Positive, "a number of bytes of at least 1, such as 200000000")
DIRECTORY = Kind(str, "the path of a directory", texts.not_blank)
FILE = Kind(str, "the path of a file", texts.not_blank)
STATE = Kind(
    str,
    "sqlite:/// and the path of a file, postgresql://user:password@host/database, or memory",
    texts.state,
    is_secret=texts.may_have_password,
)
MODE = Kind(Mode, "api, docker, letta-code, openai or embedded", texts.mode)
ANY_MODE = Kind(str, "api, docker, letta-code, openai, embedded, or the name of an installed backend", _any_mode)
LETTA_KEY = Kind(
    str,
    "the Letta API key: ASCII text without line breaks or blanks around it (what is there is not shown)",
    texts.letta_api_key,
    is_secret=lambda text: True,
)
LETTA_URL = Kind(
    str,
    "the URL of a Letta server, such as http://localhost:8283, or of Letta Code, such as ws://localhost:4500, without "
    "a user name, a password or a query",
    texts.base_url,
    is_secret=texts.may_have_password,
)
TOKEN = Kind(
    str,
    "a token of Letta Code: ASCII text without line breaks or blanks around it (what is there is not shown)",
    texts.letta_api_key,
    is_secret=lambda text: True,
)
PERMISSIONS = Kind(Permissions, "standard, acceptEdits, strict or unrestricted", texts.permissions)
MODELS = Kind(tuple[str, ...], "names of models, with commas between them or as a list", texts.names, texts.not_blank)
TEXT = Kind(str, "a text that is not blank", texts.not_blank)
HISTORY = Kind(HistoryKeeper, "lettabot or upstream", str.lower)
BACKEND_NAME = Kind(str, "the name of a backend: letters, digits, dots, dashes and underscores", texts.backend_name)
LOG_LEVEL = Kind(Literal["debug", "info", "warning", "error"], "debug, info, warning or error", texts.log_level)
TOOL_CALLS = Kind(ToolCalls, "auto, always, never or status", str.lower)
REASONING = Kind(Literal["hidden", "reasoning_content"], "hidden or reasoning_content", str.lower)
USAGE = Kind(Literal["null", "report"], "null or report", str.lower)
CONTINUE_FROM = Kind(Literal["response", "last"], "response or last", str.lower)
IMAGES = Kind(Literal["data", "any"], "data or any", str.lower)
CONVERSATIONS = Kind(Literal["auto", "shared"], "auto or shared", str.lower)
BACKGROUND_TASKS = Kind(BackgroundTasks, "local or agent", str.lower)
METRICS = Kind(
    Annotated[int, msgspec.Meta(ge=1, le=65535)] | str,
    "off, key, a port such as 9464, or an address with a port",
    texts.metrics,
)
PORTAL = Kind(Portal, "off, metadata or full", str.lower)
ON_DISCONNECT = Kind(OnDisconnect, "auto, cancel or finish", str.lower)
AGENT_NAME = Kind(str, "a name (text in quotes, if it looks like something else) that is not blank", texts.not_blank)
AGENT_ID = Kind(str, "the id of an agent, such as agent-123e4567-e89b-42d3-a456-426614174000", texts.word)
