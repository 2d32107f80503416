"""Is the service alive, and is it of use? Open to everybody, so nothing here tells a secret."""

from collections.abc import Mapping, Sequence

import msgspec
from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler

from domain.services.readiness import Readiness
from entrypoints.settings import Mode
from entrypoints.settings.backend import BackendSettings

HINTS: Mapping[str, str] = {
    Mode.EMBEDDED: (
        "The built-in notebook agent answers; set LETTA_BASE_URL, LETTA_CODE_URL or LETTA_API_KEY to connect Letta."
    ),
}


class BackendReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether one backend is of use, and what it can do."""

    ready: bool
    mode: str
    can: tuple[str, ...]
    """Beside answering messages."""
    code: str | None = None
    """That of the failure."""
    message: str | None = None
    """What is wrong."""


class ReadyReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the service can answer requests."""

    ready: bool
    """Whether any backend can."""
    mode: str
    """Of the first backend."""
    agents: int
    """How many are on offer."""
    code: str | None = None
    """That of the first backend's failure."""
    message: str | None = None
    """What is wrong with it."""
    hint: str | None = None
    """What to know although nothing is wrong."""
    backends: dict[str, BackendReport] = {}
    """By name, in the order of the configuration."""


@get(["/", "/health"], summary="Alive?", tags=["Health"], media_type=MediaType.TEXT, sync_to_thread=False)
def alive() -> str:
    """The process is up and answers."""
    return "ok"


def ready_handler(readiness: Readiness, backends: Sequence[BackendSettings]) -> HTTPRouteHandler:
    @get("/health/ready", summary="Of use?", tags=["Health"])
    async def ready() -> Response[ReadyReport]:
        """At least one backend is reachable and takes our credential: 200, or 503 while none does."""
        reports = {
            state.name: BackendReport(
                state.failure is None,
                backend.mode,
                state.abilities,
                state.failure.code if state.failure else None,
                state.failure.sentence if state.failure else None,
            )
            for state, backend in zip(await readiness.states(), backends, strict=True)
        }
        first = next(iter(reports.values()))
        is_ready = any(report.ready for report in reports.values())
        report = ReadyReport(
            is_ready, first.mode, readiness.agents(), first.code, first.message, HINTS.get(first.mode), reports
        )
        return Response(report, status_code=200 if is_ready else 503)

    return ready
